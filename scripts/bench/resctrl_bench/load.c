/* The pods of the benchmark: processes with threads, and processes that fork without end, each in the control group it is told.
 *
 * One line of standard input is one order, one line of standard output its answer; the end of input ends all first processes.
 *   start FILE THREADS FORKS LIFETIME_MS   a process that enters the group of FILE (its cgroup.procs) and then has THREADS threads;
 *                                          with FORKS > 0 it forks that many processes a second, each of which lives LIFETIME_MS
 *                                          answer: PID, or `error WORDS`
 *   forks PID                              answer: how many processes that one and its offspring have made so far
 *   late PID                               answer: how many were not made because the processor was somebody else's
 *
 * Half of the forks are made by the first process. The other half is a chain: each link is made by the link before it, which was
 * born two periods ago. Anyone who moves the first process into a group has not yet caught the chain.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define PODS_MAX 4096
#define LINE_MAX_BYTES 4096
/* The least that glibc allows. */
#define STACK_BYTES 16384
#define SECOND_NS 1000000000LL

struct slot {
    _Atomic int pid;
    _Atomic long forks;
    _Atomic long late;
};

static struct slot *slots;

static void *rest(void *unused) {
    (void)unused;
    for (;;) pause();
    return NULL;
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static void sleep_until(int64_t at_ns) {
    struct timespec at = {.tv_sec = at_ns / SECOND_NS, .tv_nsec = at_ns % SECOND_NS};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {}
}

/* The next instant of the raster; those that have gone by are counted and not made up for: a burst is no rate. */
static int64_t next_ns(int64_t last_ns, int64_t period_ns, struct slot *slot) {
    int64_t behind = (now_ns() - last_ns) / period_ns;
    if (behind > 1) slot->late += behind - 1;
    return last_ns + (behind > 1 ? behind : 1) * period_ns;
}

/* ---- processes that fork ----------------------------------------------------------------------------------------------------- */

/* A child shares the memory of its pod: to the kernel it is a process like any other, and making and ending it costs a third. */
#define CLONE_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD)
#define STACKS_MAX 512

static struct {
    char stack[STACKS_MAX + 1][4096] __attribute__((aligned(16)));
    /* The kernel writes the number of the process that is on a stack, and 0 when it has ended. */
    volatile pid_t used_by[STACKS_MAX];
    _Atomic unsigned last;
    struct slot *slot;
    int64_t period_ns, lifetime_ns, chain_due_ns;
} storm;

static int make_process(int (*run)(void *)) {
    for (int tries = 0; tries < STACKS_MAX; tries++) {
        unsigned place = storm.last++ % STACKS_MAX;
        if (storm.used_by[place] != 0) continue;
        pid_t *used_by = (pid_t *)&storm.used_by[place];
        pid_t made = clone(run, storm.stack[place + 1], CLONE_FLAGS, NULL, used_by, NULL, used_by);
        if (made > 0) storm.slot->forks++;
        return made;
    }
    return -1;
}

static int live_and_end(void *unused) {
    (void)unused;
    sleep_until(now_ns() + storm.lifetime_ns);
    return 0;
}

/* The newest link waits for its time, makes the next one, and then lives as long as any other. */
static int be_chain(void *unused) {
    do {
        sleep_until(storm.chain_due_ns);
        storm.chain_due_ns = next_ns(storm.chain_due_ns, storm.period_ns, storm.slot);
    } while (make_process(be_chain) <= 0);
    return live_and_end(unused);
}

static void be_leader(int forks, int lifetime_ms, struct slot *slot) {
    storm.slot = slot;
    storm.period_ns = 2 * SECOND_NS / forks;
    storm.lifetime_ns = lifetime_ms * 1000000LL;
    storm.chain_due_ns = now_ns() + storm.period_ns;
    int64_t due_ns = now_ns() + storm.period_ns / 2;
    make_process(be_chain);
    for (;;) {
        sleep_until(due_ns);
        due_ns = next_ns(due_ns, storm.period_ns, slot);
        make_process(live_and_end);
    }
}

/* ---- pods -------------------------------------------------------------------------------------------------------------------- */

static void make_threads(int count) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    for (int number = 1; number < count; number++) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, rest, NULL) != 0) _exit(71);
    }
}

static void be_pod(const char *file, int threads, int forks, int lifetime_ms, struct slot *slot, int tell) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "eg-bench-pod");
    int group = open(file, O_WRONLY | O_CLOEXEC);
    if (group < 0 || write(group, "0", 1) != 1) _exit(74);
    close(group);
    make_threads(threads);
    if (write(tell, "+", 1) != 1) _exit(74);
    close(tell);
    close(0);
    close(1);
    if (forks > 0) be_leader(forks, lifetime_ms, slot);
    rest(NULL);
}

static void start(const char *file, int threads, int forks, int lifetime_ms) {
    int ends[2];
    char told;
    struct slot *slot = slots;
    while (slot < slots + PODS_MAX && slot->pid != 0 && kill(slot->pid, 0) == 0) slot++;
    if (slot == slots + PODS_MAX || pipe2(ends, O_CLOEXEC) != 0) {
        puts("error too many");
        return;
    }
    slot->forks = slot->late = 0;
    pid_t pid = fork();
    if (pid == 0) be_pod(file, threads, forks, lifetime_ms, slot, ends[1]);
    close(ends[1]);
    if (pid < 0)
        printf("error %s\n", strerror(errno));
    else if (read(ends[0], &told, 1) != 1)
        printf("error %d could not enter %s or have %d threads\n", pid, file, threads);
    else
        printf("%d\n", slot->pid = pid);
    close(ends[0]);
}

static struct slot *find(int pid) {
    for (struct slot *slot = slots; slot < slots + PODS_MAX; slot++)
        if (slot->pid == pid) return slot;
    return NULL;
}

int main(void) {
    char line[LINE_MAX_BYTES], file[LINE_MAX_BYTES];
    int threads, forks, lifetime_ms, pid;
    slots = mmap(NULL, PODS_MAX * sizeof *slots, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (slots == MAP_FAILED) return 71;
    /* The dead are nobody's affair, orphans of the chain included. */
    signal(SIGCHLD, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "start %s %d %d %d", file, &threads, &forks, &lifetime_ms) == 4)
            start(file, threads, forks, lifetime_ms);
        else if (sscanf(line, "forks %d", &pid) == 1)
            printf("%ld\n", find(pid) ? find(pid)->forks : -1L);
        else if (sscanf(line, "late %d", &pid) == 1)
            printf("%ld\n", find(pid) ? find(pid)->late : -1L);
        else
            puts("error no such order");
        fflush(stdout);
    }
    for (struct slot *slot = slots; slot < slots + PODS_MAX; slot++)
        if (slot->pid != 0) kill(slot->pid, SIGKILL);
    return 0;
}
