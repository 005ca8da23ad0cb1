"""What is on the disk: record format, segments, file names, one conversion of rows, and the readers of it all."""
