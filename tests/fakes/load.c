/* One load of a host, by the first argument; copies of the program with names of their own are told apart in a list.
 *
 *   cpu                          keeps a core busy
 *   grow BYTES SECONDS_MAX       takes so many bytes more each second, in ten steps
 *   threads COUNT                has so many threads, which sleep
 *   write FILE BYTES             writes a file of so many bytes again and again, and waits for the device
 *   send ADDRESS PORT RATE       sends so many bytes a second over TCP
 *   receive ADDRESS PORT         takes one connection and reads it
 *   crash                        dies of a wrong address
 *
 * It ends with the test that started it, and by itself after a minute.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LIFE_SECONDS 60
#define BLOCK (1 << 20)

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void sleep_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void cpu(void) {
    for (volatile unsigned long count = 0;; count++) {
    }
}

static void grow(long bytes, long seconds_max) {
    for (long step = 0; step < seconds_max * 10; step++) {
        char *more = mmap(NULL, bytes / 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (more == MAP_FAILED)
            fail("mmap");
        memset(more, 1, bytes / 10);
        sleep_ms(100);
    }
    pause();
}

static void *rest(void *nothing) {
    pause();
    return nothing;
}

static void threads(long count) {
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    for (long made = 1; made < count; made++) {
        pthread_t thread;
        if (pthread_create(&thread, &small, rest, NULL) != 0)
            fail("pthread_create");
    }
    pause();
}

static void write_file(const char *path, long bytes) {
    static char block[BLOCK];
    memset(block, 'x', sizeof block);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0)
        fail(path);
    for (long done = 0;; done += BLOCK) {
        if (pwrite(file, block, BLOCK, done % bytes) != BLOCK)
            fail("pwrite");
        if (done / BLOCK % 8 == 7 && fdatasync(file) != 0)
            fail("fdatasync");
    }
}

static struct sockaddr_in address_of(const char *address, const char *port) {
    struct sockaddr_in made = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    if (inet_pton(AF_INET, address, &made.sin_addr) != 1)
        fail(address);
    return made;
}

static void send_bytes(const char *address, const char *port, long rate) {
    static char block[BLOCK];
    struct sockaddr_in to = address_of(address, port);
    int connection;
    /* Until the receiver listens. */
    while (connect(connection = socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&to, sizeof to) != 0) {
        close(connection);
        sleep_ms(50);
    }
    for (;;) {
        for (long sent = 0; sent < rate / 100; sent += BLOCK)
            for (long at = 0; at < BLOCK;) {
                ssize_t part = write(connection, block + at, BLOCK - at);
                if (part <= 0)
                    fail("write");
                at += part;
            }
        sleep_ms(10);
    }
}

static void receive(const char *address, const char *port) {
    static char block[BLOCK];
    struct sockaddr_in at = address_of(address, port);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 1) != 0)
        fail("listen");
    int connection = accept(listener, NULL, NULL);
    while (read(connection, block, sizeof block) > 0) {
    }
}

int main(int count, char **words) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(LIFE_SECONDS);
    const char *load = count > 1 ? words[1] : "";
    if (strcmp(load, "cpu") == 0)
        cpu();
    else if (strcmp(load, "grow") == 0 && count == 4)
        grow(atol(words[2]), atol(words[3]));
    else if (strcmp(load, "threads") == 0 && count == 3)
        threads(atol(words[2]));
    else if (strcmp(load, "write") == 0 && count == 4)
        write_file(words[2], atol(words[3]));
    else if (strcmp(load, "send") == 0 && count == 5)
        send_bytes(words[2], words[3], atol(words[4]));
    else if (strcmp(load, "receive") == 0 && count == 4)
        receive(words[2], words[3]);
    else if (strcmp(load, "crash") == 0)
        raise(SIGSEGV);
    else
        fprintf(stderr, "no such load: %s\n", load);
    return 1;
}
