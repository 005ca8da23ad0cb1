/* What the containers of tests run. It needs no library and sees the host's process numbers where its pod has the host's.
 *   load threads N              N threads that wait
 *   load busy N                 N threads that compute
 *   load storm                  forks short-lived children without end
 *   load inside TASKS VERDICT   looks for itself in TASKS, writes `inside N` or `outside N` to VERDICT, and waits
 *   load number FILE            writes its process number to FILE and waits
 *   load end                    ends at once
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void *idle(void *unused) { for (;;) pause(); return unused; }

static void *busy(void *unused) {
    static volatile char memory[1 << 20];
    for (unsigned place = 0;; place += 64) memory[place & ((1 << 20) - 1)]++;
    return unused;
}

static void storm(void) {
    /* Grandchildren come back here, to be reaped, also where this is not the first process of its namespace. */
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    for (;;) {
        pid_t child = fork();
        if (child == 0) {
            if (fork() == 0) { usleep(2000); _exit(0); }
            _exit(0);
        }
        if (child > 0) waitpid(child, NULL, 0);
        else usleep(1000);
        while (waitpid(-1, NULL, WNOHANG) > 0) {}
        usleep(500);
    }
}

static int is_listed(const char *path, long wanted) {
    FILE *tasks = fopen(path, "r");
    long number;
    int found = 0;
    if (!tasks) return -1;
    while (fscanf(tasks, "%ld", &number) == 1) found |= number == wanted;
    fclose(tasks);
    return found;
}

static void say(const char *path, const char *text) {
    /* Whole or not there: whoever reads it looks at any moment. */
    char name[4096];
    snprintf(name, sizeof name, "%s.new", path);
    int file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0 || write(file, text, strlen(text)) < 0) { perror(name); exit(1); }
    close(file);
    if (rename(name, path)) { perror(path); exit(1); }
}

int main(int count, char **words) {
    char text[64];
    const char *what = count > 1 ? words[1] : "threads";
    if (!strcmp(what, "end")) return 0;
    if (!strcmp(what, "storm")) storm();
    if (!strcmp(what, "inside") && count == 4) {
        int found = is_listed(words[2], getpid());
        snprintf(text, sizeof text, "%s %d\n", found < 0 ? "nogroup" : found ? "inside" : "outside", getpid());
        say(words[3], text);
    }
    if (!strcmp(what, "number") && count == 3) {
        snprintf(text, sizeof text, "%d\n", getpid());
        say(words[2], text);
    }
    int is_busy = !strcmp(what, "busy");
    int threads = is_busy || !strcmp(what, "threads") ? atoi(count > 2 ? words[2] : "1") : 1;
    for (int number = 1; number < threads; number++) {
        pthread_t thread;
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 65536);
        if (pthread_create(&thread, &small, is_busy && number == 1 ? busy : idle, NULL)) { perror("thread"); return 1; }
    }
    if (is_busy) busy(NULL);
    idle(NULL);
}
