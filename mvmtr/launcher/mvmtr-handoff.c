/*
 * Hands the connection on descriptor 0 to a mvmtr that runs already, see docs/handoff.rst, and
 * waits until the session is over. The script mvmtr-handoff does the same in Python.
 */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define SENT_MAX 131072
#define PATIENCE 30

extern char **environ;

static const char sorry[] =
    "421 4.3.2 service is not available now, try again later (#4.3.2)\r\n";

static void complain(const char *what, const char *why)
{
    fprintf(stderr, "mvmtr-handoff: %s: %s\n", what, why);
}

/* The environment as a netstring, each variable with its NUL; its length, or 0. */
static size_t pack(char *data, size_t room)
{
    size_t size = 0, used;
    char **each;

    for (each = environ; *each; each++)
        size += strlen(*each) + 1;
    if (size > SENT_MAX)
        return 0;
    used = (size_t)snprintf(data, room, "%lu:", (unsigned long)size);
    for (each = environ; *each; each++) {
        size = strlen(*each) + 1;
        memcpy(data + used, *each, size);
        used += size;
    }
    data[used++] = ',';
    return used;
}

/* Send all of the data, and descriptor 0 with its first byte; whether that went well. */
static int send_all(int connection, char *data, size_t size)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec piece = {data, size};
    struct msghdr message;
    int descriptor = 0;

    memset(&control, 0, sizeof control);
    memset(&message, 0, sizeof message);
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.space;
    message.msg_controllen = sizeof control.space;
    control.align.cmsg_level = SOL_SOCKET;
    control.align.cmsg_type = SCM_RIGHTS;
    control.align.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.align), &descriptor, sizeof descriptor);
    while (piece.iov_len > 0) {
        ssize_t sent = sendmsg(connection, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return 0;
        piece.iov_base = (char *)piece.iov_base + sent;
        piece.iov_len -= (size_t)sent;
        message.msg_control = NULL;
        message.msg_controllen = 0;
    }
    return 1;
}

/* One byte of the answer; -1 at the end, -2 at an error. */
static int hear(int connection)
{
    unsigned char byte;
    ssize_t got;

    while ((got = recv(connection, &byte, 1, 0)) < 0 && errno == EINTR)
        ;
    return got == 1 ? byte : got == 0 ? -1 : -2;
}

/* Hand over; whether the session has begun. Only then somebody else talks to the client. */
static int begins(int connection, const char *path)
{
    static char data[SENT_MAX + 32];
    struct sockaddr_un address;
    struct timeval patience = {PATIENCE, 0};
    size_t size = pack(data, sizeof data);
    int answer = -2;

    if (size == 0) {
        complain(path, "the environment is too large");
        return 0;
    }
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address.sun_path) {
        complain(path, "this path is too long for a socket");
        return 0;
    }
    strcpy(address.sun_path, path);
    setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(connection, (struct sockaddr *)&address, sizeof address) == 0 &&
        send_all(connection, data, size))
        answer = hear(connection);
    if (answer != '+') {
        complain(path, answer == -2 ? strerror(errno) : "the connection was not taken over");
        /* From now on nobody can say that it has begun; perhaps somebody just has. */
        shutdown(connection, SHUT_RD);
        answer = hear(connection);
    }
    return answer == '+';
}

static void fall_back(const char *self, char **arguments, int count)
{
    static char beside[4096];
    const char *slash = strrchr(self, '/');
    char **command = malloc(((size_t)count + 4) * sizeof *command);

    if (command != NULL) {
        command[0] = "twistd";
        command[1] = "mvmtr";
        command[2] = "--stdio";
        memcpy(command + 3, arguments, ((size_t)count + 1) * sizeof *command);
        if (slash != NULL && (size_t)(slash - self) < sizeof beside - 16) {
            sprintf(beside, "%.*s/twistd", (int)(slash - self), self);
            execv(beside, command);
        }
        execvp("twistd", command);
    }
    complain("twistd", strerror(errno));
}

int main(int count, char **arguments)
{
    struct timeval forever = {0, 0};
    int falls_back = count > 1 && strcmp(arguments[1], "--fallback") == 0;
    int first = 1 + falls_back, connection;
    const char *path = count > first ? arguments[first] : "";

    if (*path == '\0' || *path == '-' || (count > first + 1 && !falls_back)) {
        complain("usage", "mvmtr-handoff SOCKET, or mvmtr-handoff --fallback SOCKET [OPTION...]");
        return 1;
    }
    connection = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connection < 0 || !begins(connection, path)) {
        close(connection);
        if (falls_back)
            fall_back(arguments[0], arguments + first + 1, count - first - 1);
        if (getenv("SMTPS") == NULL && write(1, sorry, sizeof sorry - 1) < 0)
            complain("the client", strerror(errno));
        return 1;
    }
    close(0);
    close(1);
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    return hear(connection) == '0' ? 0 : 1;
}
