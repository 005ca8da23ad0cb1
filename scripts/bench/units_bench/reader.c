/* Reads the files named on stdin (one path a line) once per interval over kept descriptors, TICKS times; prints the CPU time of each
 * round in ns, a line each. What the same reads cost without an interpreter.  reader TICKS INTERVAL_MS < PATHS */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static long long cpu_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 3) return 64;
    int ticks = atoi(argv[1]), interval_ms = atoi(argv[2]), count = 0, room = 0;
    int *descriptors = NULL;
    char line[4096], *buffer = malloc(1 << 18);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (count == room) descriptors = realloc(descriptors, (room = room * 2 + 64) * sizeof *descriptors);
        int descriptor = open(line, O_RDONLY | O_CLOEXEC);
        if (descriptor >= 0) descriptors[count++] = descriptor;
    }
    long long sum = 0;
    struct timespec pause = {interval_ms / 1000, interval_ms % 1000 * 1000000L};
    for (int tick = 0; tick < ticks; tick++) {
        nanosleep(&pause, NULL);
        long long begin = cpu_ns();
        for (int index = 0; index < count; index++) {
            ssize_t bytes = pread(descriptors[index], buffer, 4096, 0);
            if (bytes > 0) sum += buffer[bytes - 1];
        }
        printf("%lld\n", cpu_ns() - begin);
    }
    fprintf(stderr, "%d files, %lld\n", count, sum);
    return 0;
}
