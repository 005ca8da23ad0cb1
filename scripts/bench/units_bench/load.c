/* One process in each of N cgroups, which works for MICROSECONDS every PERIOD_MS. A cgroup is FOLDER/u<number>, in each FOLDER.
 *   load N MICROSECONDS PERIOD_MS FOLDER...      prints `ready` when all have joined; ends with its parent */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_us(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000LL + at.tv_nsec / 1000;
}

static void work(int number, long us, int period_ms, char **folders) {
    static volatile char pages[1 << 18];
    struct timespec pause = {period_ms / 1000, period_ms % 1000 * 1000000L};
    unsigned at = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (; *folders; folders++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/u%d/cgroup.procs", *folders, number);
        int file = open(path, O_WRONLY);
        if (file < 0 || write(file, "0", 1) != 1) { perror(path); _exit(1); }
        close(file);
    }
    for (;;) {
        long long until = now_us() + us;
        do pages[(at += 4096) % sizeof pages]++; while (now_us() < until);
        nanosleep(&pause, NULL);
    }
}

int main(int argc, char **argv) {
    if (argc < 5) return 64;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int number = 0; number < atoi(argv[1]); number++)
        if (fork() == 0) work(number, atol(argv[2]), atoi(argv[3]), argv + 4);
    puts("ready");
    fflush(stdout);
    while (wait(NULL) > 0) {}
    return 0;
}
