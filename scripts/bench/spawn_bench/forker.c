/* Born in a cgroup: forks four children with its first instructions; each process says "outside" unless it is where it should be. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void look(const char *wanted)
{
    char text[8192], line[4096];
    int file = open("/proc/self/cgroup", O_RDONLY);
    ssize_t size = read(file, text, sizeof text - 2);
    close(file);
    if (size < 0)
        size = 0;
    text[size] = '\n';
    text[size + 1] = 0;
    snprintf(line, sizeof line, "0::%s\n", wanted);
    if (!strstr(text, line))
        write(1, "outside\n", 8);
    else
        write(1, "inside\n", 7);
}

int main(int count, char **words)
{
    for (int i = 0; i < 4; i++)
        if (fork() == 0) {
            look(words[1]);
            _exit(0);
        }
    look(words[1]);
    while (wait(0) > 0)
        ;
    return count == 0;
}
