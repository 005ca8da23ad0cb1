"""What reading units costs, beside the same reads in C and beside a reader that reads every file of each."""
