/* The same in C, as the bound of what any program can reach: mkdir, limits, clone3 into the cgroup, exec; or one of the two ways by
 * cgroup.procs. Prints the microseconds of each birth, from mkdir to the end of exec.
 *   born DIRECTORY COUNT clone|parent|child */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct clone_arguments {
    unsigned long long flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

static void put(int folder, const char *name, const char *text)
{
    int file = openat(folder, name, O_WRONLY | O_CLOEXEC);
    if (file >= 0) {
        write(file, text, strlen(text));
        close(file);
    }
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

int main(int count, char **words)
{
    char path[4096], text[32];
    if (count != 4)
        return 64;
    for (int i = 0; i < atoi(words[2]); i++) {
        int said[2], gate[2];
        double begin = now();
        snprintf(path, sizeof path, "%s/c%d", words[1], i);
        if (mkdir(path, 0755) != 0 || pipe2(said, O_CLOEXEC) != 0 || pipe2(gate, O_CLOEXEC) != 0)
            return 1;
        int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        put(folder, "cpu.max", "50000 100000");
        put(folder, "memory.max", "268435456");
        put(folder, "pids.max", "100");
        struct clone_arguments arguments = {.flags = 0x200000000ULL, .exit_signal = SIGCHLD, .cgroup = folder};
        pid_t pid = words[3][1] == 'l' ? syscall(435, &arguments, sizeof arguments) : fork();
        if (pid == 0) {
            if (words[3][1] == 'h')
                put(folder, "cgroup.procs", "0");
            if (words[3][0] == 'p')
                read(gate[0], text, 1);
            execl("/bin/true", "true", (char *)0);
            _exit(127);
        }
        if (words[3][0] == 'p') {
            snprintf(text, sizeof text, "%d", pid);
            put(folder, "cgroup.procs", text);
            write(gate[1], "x", 1);
        }
        close(said[1]);
        close(gate[0]);
        close(gate[1]);
        read(said[0], text, 1);
        printf("%.1f\n", now() - begin);
        close(said[0]);
        waitpid(pid, 0, 0);
        close(folder);
        while (rmdir(path) != 0)
            usleep(200);
    }
    return 0;
}
