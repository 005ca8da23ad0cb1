/* Real processes for the benchmarks of the process sampler: they sleep, burn an exact amount of CPU, fork, grow.

   load sleep COUNT BUSY MICROSECONDS       COUNT processes; BUSY of them burn so much once a second, at moments of their own
   load mixed COUNT                         of twelve processes nine sleep, two burn 100 us and one 1 ms ten times a second
   load threads COUNT THREADS MICROSECONDS  every thread burns so much ten times a second
   load idle-threads COUNT THREADS          every thread sleeps; processes are said to be ready when their threads are
   load spikes COUNT MILLISECONDS SECONDS   each burns so much every SECONDS, at moments of its own
   load names COUNT MICROSECONDS            as sleep, every process under a name of its own, all of them busy
   load steep COUNT MICROSECONDS MEBIBYTES KIBIBYTES FOLDER
                                            few processes use most: once a second the k-th of them burns MICROSECONDS / k^1.5 and writes
                                            KIBIBYTES / k to a file in FOLDER; it holds MEBIBYTES / k, of memory that all share, if it is
                                            one of the first fifty. Less than 20 microseconds or 16 KiB it leaves out
   load grow COUNT MEBIBYTES                each grows by 1 MiB every 20 ms up to so much, gives all back and begins again
   load churn NAME RATE LEAST MOST SECONDS KIND
                                            RATE processes a second for SECONDS, each burns LEAST to MOST microseconds and ends;
                                            KIND: plain, exec (runs this program again), orphan (its parent has ended), threads

   All but churn say "ready" and live until standard input ends. churn says "ready", waits for a line, and at the end says how many
   processes it made and the CPU in ns that the kernel counted for them (getrusage(2), RUSAGE_CHILDREN). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * NS + now.tv_nsec;
}

/* CPU of this thread, whatever else runs on the machine. */
static void burn_us(long microseconds)
{
    int64_t end = read_clock(CLOCK_THREAD_CPUTIME_ID) + microseconds * 1000LL;
    while (read_clock(CLOCK_THREAD_CPUTIME_ID) < end)
        for (volatile int i = 0; i < 500; i++)
            ;
}

static void sleep_ns(int64_t ns)
{
    struct timespec left = {ns / NS, ns % NS};
    while (nanosleep(&left, &left) == -1 && errno == EINTR)
        ;
}

static void set_name(const char *format, int number)
{
    char name[32];
    snprintf(name, sizeof name, format, number);
    prctl(PR_SET_NAME, name, 0, 0, 0);
}

/* Burns so much in every period, beginning at a moment of its own. */
static void pulse(long microseconds, int64_t period_ns, unsigned seed)
{
    int64_t due = read_clock(CLOCK_MONOTONIC) + (int64_t)(seed * 2654435761u) % period_ns;
    for (;;) {
        struct timespec at = {due / NS, due % NS};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        burn_us(microseconds);
        due += period_ns;
    }
}

struct beat { long microseconds; unsigned seed; };

static void *thread_main(void *argument)
{
    struct beat *beat = argument;
    pulse(beat->microseconds, NS / 10, beat->seed);
    return NULL;
}

static void *idle_main(void *argument)
{
    (void)argument;
    for (;;)
        pause();
    return NULL;
}

static void grow(long mebibytes, int number)
{
    sleep_ns(number % 50 * 20000000LL);
    for (;;) {
        char *parts[4096];
        for (long i = 0; i < mebibytes; i++) {
            parts[i] = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (parts[i] == MAP_FAILED)
                _exit(1);
            memset(parts[i], 1, 1 << 20);
            sleep_ns(20000000);
        }
        for (long i = 0; i < mebibytes; i++)
            munmap(parts[i], 1 << 20);
        sleep_ns(20000000);
    }
}

/* What the k-th of these holds and burns is known beforehand. Memory is shared, so that some GiB of resident memory take the machine
   as much as the largest of them. */
static char *shared;
static _Atomic int *settled;
extern char __executable_start, etext;

static void steep(int number, long microseconds, long mebibytes, long kibibytes, const char *folder)
{
    double k = number + 1;
    long burn = (long)(microseconds / (k * sqrt(k))), hold = k <= 50 ? (long)(mebibytes * 1024 / k) : 0, write_kib = (long)(kibibytes / k);
    static char block[4096];
    char path[4096];
    int file = -1;
    /* The largest have names of their own: every process and tick of those is known one by one. */
    set_name(number < 5 ? "largest-%02d" : "steep-%02d", number % 25);
    for (long at = 0; at < hold << 10; at += 4096)
        (void)((volatile char *)shared)[at];
    if (write_kib >= 16) {
        snprintf(path, sizeof path, "%s/steep-%d", folder, number);
        file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    }
    /* The pages of the program's text count in each process: without those of its start 500 that sleep hold some 60 MiB, and
       not 250 which no ranking could name. */
    uintptr_t begin = (uintptr_t)&__executable_start & ~4095ul;
    madvise((void *)begin, (uintptr_t)&etext - begin, MADV_DONTNEED);
    ++*settled;
    int64_t due = read_clock(CLOCK_MONOTONIC) + (int64_t)(number * 2654435761u) % NS;
    while (burn >= 20 || file >= 0) {
        struct timespec at = {due / NS, due % NS};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        if (burn >= 20)
            burn_us(burn);
        for (long done = 0; file >= 0 && done < write_kib; done += 4)
            if (pwrite(file, block, sizeof block, done << 10) != sizeof block)
                _exit(1);
        due += NS;
    }
}

static void child_main(const char *mode, int number, int argc, char **argv)
{
    long a = argc > 3 ? atol(argv[3]) : 0, b = argc > 4 ? atol(argv[4]) : 0;
    if (!strcmp(mode, "sleep")) {
        set_name(number < a ? "busy-%02d" : "sleep-%02d", number % 40);
        if (number < a)
            pulse(b, NS, number);
    } else if (!strcmp(mode, "mixed")) {
        int kind = number % 12;
        set_name(kind < 9 ? "idle-%02d" : kind < 11 ? "light-%02d" : "heavy-%02d", number / 12 % 10);
        if (kind >= 9)
            pulse(kind < 11 ? 100 : 1000, NS / 10, number);
    } else if (!strcmp(mode, "threads")) {
        set_name("threads-%02d", number);
        struct beat *beats = calloc(a, sizeof *beats);
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 64 << 10);
        for (long i = 1; i < a; i++) {
            pthread_t thread;
            beats[i] = (struct beat){b, number * a + i};
            if (pthread_create(&thread, &attributes, thread_main, &beats[i]))
                _exit(1);
        }
        pulse(b, NS / 10, number * a);
    } else if (!strcmp(mode, "idle-threads")) {
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 16 << 10);
        for (long i = 1; i < a; i++) {
            pthread_t thread;
            if (pthread_create(&thread, &attributes, idle_main, NULL))
                _exit(1);
        }
        kill(getppid(), SIGUSR1);
    } else if (!strcmp(mode, "spikes")) {
        set_name("spike-%02d", number % 20);
        pulse(a * 1000, b * NS, number);
    } else if (!strcmp(mode, "names")) {
        set_name("name-%05d", number);
        pulse(a, NS, number);
    } else if (!strcmp(mode, "steep")) {
        steep(number, a, b, argc > 5 ? atol(argv[5]) : 0, argc > 6 ? argv[6] : "");
    } else if (!strcmp(mode, "grow")) {
        set_name("grow-%02d", number % 20);
        grow(a, number);
    }
    for (;;)
        pause();
}

static void *burner(void *argument)
{
    burn_us((long)argument);
    return NULL;
}

static void short_life(const char *name, const char *kind, long microseconds)
{
    prctl(PR_SET_NAME, name, 0, 0, 0);
    if (!strcmp(kind, "threads")) {
        pthread_t threads[3];
        for (int i = 0; i < 3; i++)
            pthread_create(&threads[i], NULL, burner, (void *)(microseconds / 4));
        burn_us(microseconds / 4);
        for (int i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
    } else {
        burn_us(microseconds);
    }
    _exit(0);
}

static void begin_short_life(const char *name, const char *kind, long microseconds)
{
    if (!strcmp(kind, "exec")) {
        char text[32], path[512] = {0};
        snprintf(text, sizeof text, "%ld", microseconds);
        if (readlink("/proc/self/exe", path, sizeof path - 1) > 0)
            execl(path, name, "burn", name, text, NULL);
        _exit(1);
    }
    if (!strcmp(kind, "orphan")) {
        pid_t pid = fork();
        if (pid != 0)
            _exit(0);
        sleep_ns(1000000);
    }
    short_life(name, kind, microseconds);
}

static int64_t time_ns(struct timeval time) { return time.tv_sec * NS + time.tv_usec * 1000LL; }

static int churn(char **argv)
{
    const char *name = argv[2], *kind = argv[7];
    double rate = atof(argv[3]);
    long least = atol(argv[4]), most = atol(argv[5]), count = 0, living = 0;
    set_name("churner", 0);
    /* Of a dead parent's children this process is the reaper, so that nobody is missing in its sum. */
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    puts("ready");
    fflush(stdout);
    if (getchar() == EOF)
        return 1;
    int64_t begun = read_clock(CLOCK_MONOTONIC), end = begun + (int64_t)(atof(argv[6]) * NS);
    unsigned seed = 1;
    for (int64_t now = begun; now < end; now = read_clock(CLOCK_MONOTONIC)) {
        int64_t due = begun + (int64_t)(count / rate * NS);
        if (now < due) {
            sleep_ns(due - now);
        } else if (living < 400) {
            long microseconds = least + (most > least ? rand_r(&seed) % (most - least + 1) : 0);
            pid_t pid = fork();
            if (pid == 0)
                begin_short_life(name, kind, microseconds);
            if (pid > 0)
                count++, living += !strcmp(kind, "orphan") ? 2 : 1;
        }
        while (waitpid(-1, NULL, living >= 400 ? 0 : WNOHANG) > 0)
            living--;
    }
    while (wait(NULL) > 0)
        ;
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    printf("%ld %lld %lld\n", count, (long long)(time_ns(used.ru_utime) + time_ns(used.ru_stime)),
           (long long)(read_clock(CLOCK_MONOTONIC) - begun));
    fflush(stdout);
    /* The reader of standard output ends this process, so that its own CPU is seen while it lives. */
    getchar();
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "burn"))
        short_life(argv[2], "plain", atol(argv[3]));
    if (argc == 8 && !strcmp(argv[1], "churn"))
        return churn(argv);
    if (argc < 3)
        return 64;
    int count = atoi(argv[2]);
    pid_t *pids = calloc(count, sizeof *pids);
    set_name("loader", 0);
    if (!strcmp(argv[1], "steep") && argc > 4) {
        shared = mmap(NULL, ((size_t)atol(argv[4]) << 20) + 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        settled = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED || settled == MAP_FAILED)
            return 71;
    }
    sigset_t told;
    sigemptyset(&told);
    sigaddset(&told, SIGUSR1);
    sigprocmask(SIG_BLOCK, &told, NULL);
    for (int i = 0; i < count; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            int null = open("/dev/null", O_RDWR);
            dup2(null, 0);
            dup2(null, 1);
            prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
            child_main(argv[1], i, argc, argv);
        }
        if (pids[i] < 0) {
            perror("fork");
            return 71;
        }
    }
    int number;
    for (int i = 0; i < count && !strcmp(argv[1], "idle-threads"); i++)
        sigwait(&told, &number);
    while (settled && *settled < count)
        sleep_ns(10000000);
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    for (int i = 0; i < count; i++)
        kill(pids[i], SIGKILL);
    while (wait(NULL) > 0)
        ;
    return 0;
}
