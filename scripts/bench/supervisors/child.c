/* The child that every supervisor of the benchmark keeps alive: it says when it came to be, then waits to be killed.
 *
 * BENCH_SOCKET     Unix datagram socket that is told "NAME NANOSECONDS", the monotonic clock on entry; the kernel adds the pid
 * BENCH_READY_FD   a newline goes there: readiness as s6 knows it
 * BENCH_EXIT       the exit code of a child that ends at once, always
 * BENCH_EXIT_FILES only when a file of this folder is named as the child
 * WATCHDOG_USEC    with NOTIFY_SOCKET: the child beats four times in that time, as systemd's watchdog wants it
 *
 * The name is the first argument, else the last part of the working directory.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void tell(const char *path, const char *text) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0 || length >= sizeof to.sun_path) _exit(70);
    memcpy(to.sun_path, path, length);
    /* A leading @ is systemd's way to write the null byte of an abstract address. */
    if (path[0] == '@') to.sun_path[0] = 0;
    if (sendto(sock, text, strlen(text), 0, (struct sockaddr *)&to, offsetof(struct sockaddr_un, sun_path) + length) < 0) _exit(74);
    close(sock);
}

int main(int count, char **words) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    char folder[4096] = "", file[4096], text[256];
    const char *name = words[1];
    if (count < 2) {
        if (getcwd(folder, sizeof folder) == NULL) _exit(70);
        name = strrchr(folder, '/') + 1;
    }
    snprintf(text, sizeof text, "%s %lld", name, now.tv_sec * 1000000000LL + now.tv_nsec);
    const char *socket_path = getenv("BENCH_SOCKET"), *ready = getenv("BENCH_READY_FD"), *code = getenv("BENCH_EXIT"), *files = getenv("BENCH_EXIT_FILES");
    if (socket_path == NULL) _exit(64);
    tell(socket_path, text);
    if (ready != NULL && write(atoi(ready), "\n", 1) != 1) _exit(74);
    snprintf(file, sizeof file, "%s/%s", files == NULL ? "" : files, name);
    if (code != NULL && (files == NULL || access(file, F_OK) == 0)) _exit(atoi(code));
    const char *patience = getenv("WATCHDOG_USEC"), *notify = getenv("NOTIFY_SOCKET");
    if (patience != NULL && notify != NULL)
        for (;;) {
            tell(notify, "WATCHDOG=1");
            usleep(strtoul(patience, NULL, 10) / 4);
        }
    for (;;) pause();
}
