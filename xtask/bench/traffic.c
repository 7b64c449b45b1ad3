// Traffic for `cargo xtask bench net`: one static program for both ends, so that every engine carries the same.
//
//   traffic serve PORT                        accepts, says one byte, waits for the end
//   traffic connect ADDRESS PORT SECONDS      prints connections per second, one after another
//   traffic sink PORT                         reads whatever comes
//   traffic send ADDRESS PORT SECONDS         prints MiB per second of one stream
//   traffic dns ADDRESS NAME FLYING SECONDS   prints answers per second and the 99th percentile in us
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static struct sockaddr_in to(const char *address, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, address, &a.sin_addr) != 1) {
        fprintf(stderr, "not an address: %s\n", address);
        exit(1);
    }
    return a;
}

static int listening(int port) {
    int s = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in a = to("0.0.0.0", port);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 1024)) die("listen");
    return s;
}

static int connected(const char *address, int port) {
    int s = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = to(address, port);
    if (connect(s, (struct sockaddr *)&a, sizeof a)) die("connect");
    return s;
}

static void serve(int port) {
    char byte = 'x';
    for (int s = listening(port);;) {
        int c = accept(s, 0, 0);
        if (c < 0) continue;
        if (write(c, &byte, 1) == 1 && read(c, &byte, 1) < 0 && errno != ECONNRESET) perror("read");
        close(c);
    }
}

// Ends with a reset, so that no port is left waiting.
static void connect_again(const char *address, int port, double seconds) {
    struct linger reset = {1, 0};
    long count = 0;
    double begin = now(), end = begin + seconds;
    char byte;
    for (; now() < end; count++) {
        int s = connected(address, port);
        if (read(s, &byte, 1) != 1) die("no byte");
        setsockopt(s, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(s);
    }
    printf("%.0f\n", count / (now() - begin));
}

static void sink(int port) {
    static char buffer[1 << 18];
    for (int s = listening(port);;) {
        int c = accept(s, 0, 0);
        while (c >= 0 && read(c, buffer, sizeof buffer) > 0) {}
        close(c);
    }
}

static void send_for(const char *address, int port, double seconds) {
    static char buffer[1 << 17];
    int s = connected(address, port);
    double begin = now(), end = begin + seconds, sent = 0;
    while (now() < end) {
        ssize_t n = write(s, buffer, sizeof buffer);
        if (n < 0) die("write");
        sent += n;
    }
    printf("%.0f\n", sent / (now() - begin) / (1 << 20));
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// A question for the address of NAME; its number is the place in flight.
static int question(unsigned char *at, const char *name, int number) {
    memset(at, 0, 12);
    at[0] = number >> 8, at[1] = number, at[2] = 1, at[5] = 1;
    int n = 12;
    for (const char *label = name; *label;) {
        int length = strcspn(label, ".");
        at[n++] = length;
        memcpy(at + n, label, length);
        n += length, label += length + (label[length] == '.');
    }
    memcpy(at + n, "\0\0\1\0\1", 5);
    return n + 5;
}

static void dns(const char *address, const char *name, int flying, double seconds) {
    enum { MOST = 1 << 22 };
    double *took = malloc(MOST * sizeof *took), *asked = calloc(flying, sizeof *asked);
    unsigned char packet[512];
    long count = 0;
    struct sockaddr_in a = to(address, 53);
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    if (connect(s, (struct sockaddr *)&a, sizeof a)) die("connect");
    double begin = now(), end = begin + seconds;
    for (int i = 0; i < flying; i++) {
        asked[i] = now();
        if (send(s, packet, question(packet, name, i), 0) < 0) die("send");
    }
    while (now() < end && count < MOST) {
        struct pollfd p = {.fd = s, .events = POLLIN};
        if (poll(&p, 1, 1000) != 1) {
            fprintf(stderr, "an answer was lost\n");
            exit(1);
        }
        ssize_t n = recv(s, packet, sizeof packet, 0);
        int i = packet[0] << 8 | packet[1];
        if (n < 12 || i >= flying || (packet[3] & 15) || !(packet[6] << 8 | packet[7])) {
            fprintf(stderr, "not an answer with an address\n");
            exit(1);
        }
        took[count++] = now() - asked[i];
        asked[i] = now();
        if (send(s, packet, question(packet, name, i), 0) < 0) die("send");
    }
    qsort(took, count, sizeof *took, by_size);
    printf("%.0f %.0f\n", count / (now() - begin), took[count * 99 / 100] * 1e6);
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "serve")) serve(atoi(argv[2]));
    if (argc == 5 && !strcmp(argv[1], "connect")) return connect_again(argv[2], atoi(argv[3]), atof(argv[4])), 0;
    if (argc == 3 && !strcmp(argv[1], "sink")) sink(atoi(argv[2]));
    if (argc == 5 && !strcmp(argv[1], "send")) return send_for(argv[2], atoi(argv[3]), atof(argv[4])), 0;
    if (argc == 6 && !strcmp(argv[1], "dns")) return dns(argv[2], argv[3], atoi(argv[4]), atof(argv[5])), 0;
    fprintf(stderr, "traffic: see its source\n");
    return 2;
}
