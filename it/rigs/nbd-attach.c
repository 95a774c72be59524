// Attaches the Linux kernel's NBD client as a storage plugin does: over netlink, with time for a server to come back.
//
//     nbd-attach connect HOST PORT NAME CONNECTIONS SECONDS    /dev/nbd0; requests wait so long for a lost server
//     nbd-attach reconnect HOST PORT NAME CONNECTIONS          gives new connections in place of dead ones
//
// nbd-client cannot ask for either: over netlink it never reconnects, and its own -persist works over ioctls, where the
// kernel fails what is in flight.
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 16, DEVICE = 0, BLOCK_BYTES = 4096 };

struct message {
    struct nlmsghdr header;
    struct genlmsghdr generic;
    char attributes[4096];
};

static void die(const char *what) {
    fprintf(stderr, "nbd-attach: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void transfer(int fd, void *buffer, size_t count, int writing) {
    for (size_t done = 0; done < count;) {
        ssize_t now = writing ? write(fd, (char *)buffer + done, count - done)
                              : read(fd, (char *)buffer + done, count - done);
        if (now <= 0) die(writing ? "the server takes no more" : "the server hung up");
        done += now;
    }
}

// A connection past its handshake, which is EXPORT_NAME: the shortest.
static int negotiate(const char *host, int port, const char *name, uint64_t *size, uint16_t *flags) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    char greeting[18], answer[10];
    transfer(fd, greeting, sizeof greeting, 0);
    uint32_t client_flags = htonl(3);
    struct { uint64_t magic; uint32_t option, length; } __attribute__((packed)) option = {
        htobe64(0x49484156454F5054), htonl(1), htonl(strlen(name))};
    transfer(fd, &client_flags, sizeof client_flags, 1);
    transfer(fd, &option, sizeof option, 1);
    transfer(fd, (void *)name, strlen(name), 1);
    transfer(fd, answer, sizeof answer, 0);
    memcpy(size, answer, 8);
    memcpy(flags, answer + 8, 2);
    *size = be64toh(*size);
    *flags = be16toh(*flags);
    return fd;
}

static struct nlattr *put(struct message *message, int type, const void *value, int length) {
    struct nlattr *attribute = (struct nlattr *)((char *)message + NLMSG_ALIGN(message->header.nlmsg_len));
    attribute->nla_type = type;
    attribute->nla_len = NLA_HDRLEN + length;
    if (length) memcpy((char *)attribute + NLA_HDRLEN, value, length);
    message->header.nlmsg_len = NLMSG_ALIGN(message->header.nlmsg_len) + NLA_ALIGN(attribute->nla_len);
    return attribute;
}

static void end(struct message *message, struct nlattr *nest) {
    nest->nla_len = (char *)message + message->header.nlmsg_len - (char *)nest;
}

static struct message begin(int family, int command, int flags) {
    return (struct message){.header = {.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN), .nlmsg_type = family, .nlmsg_flags = NLM_F_REQUEST | flags},
                            .generic = {.cmd = command, .version = 1}};
}

// Sends a message and leaves the first answer in its place; an error that the kernel answers ends the program.
static void ask(int netlink, struct message *message) {
    if (send(netlink, message, message->header.nlmsg_len, 0) < 0) die("netlink");
    if (recv(netlink, message, sizeof *message, 0) < 0) die("netlink");
    if (message->header.nlmsg_type == NLMSG_ERROR) {
        errno = -((struct nlmsgerr *)NLMSG_DATA(&message->header))->error;
        if (errno) die("the kernel");
    }
}

static int nbd_family(int netlink) {
    struct message message = begin(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
    put(&message, CTRL_ATTR_FAMILY_NAME, "nbd", sizeof "nbd");
    ask(netlink, &message);
    for (char *at = message.attributes; at < (char *)&message + message.header.nlmsg_len;) {
        struct nlattr *attribute = (struct nlattr *)at;
        if (attribute->nla_type == CTRL_ATTR_FAMILY_ID) return *(uint16_t *)(at + NLA_HDRLEN);
        at += NLA_ALIGN(attribute->nla_len);
    }
    errno = ENODEV;
    die("the kernel's nbd module");
    return 0;
}

int main(int count, char **words) {
    if (count < 6) {
        fprintf(stderr, "usage: nbd-attach connect HOST PORT NAME CONNECTIONS SECONDS | reconnect HOST PORT NAME CONNECTIONS\n");
        return 2;
    }
    int connecting = !strcmp(words[1], "connect"), connections = atoi(words[5]);
    int netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC), fds[CONNECTIONS_MAX];
    uint64_t size = 0;
    uint16_t flags = 0;
    if (connections > CONNECTIONS_MAX) connections = CONNECTIONS_MAX;
    for (int i = 0; i < connections; i++) fds[i] = negotiate(words[2], atoi(words[3]), words[4], &size, &flags);

    struct message message = begin(nbd_family(netlink), connecting ? NBD_CMD_CONNECT : NBD_CMD_RECONFIGURE, NLM_F_ACK);
    uint32_t index = DEVICE;
    put(&message, NBD_ATTR_INDEX, &index, sizeof index);
    if (connecting) {
        uint64_t block = BLOCK_BYTES, server_flags = flags, seconds = strtoull(words[6], 0, 10);
        put(&message, NBD_ATTR_SIZE_BYTES, &size, sizeof size);
        put(&message, NBD_ATTR_BLOCK_SIZE_BYTES, &block, sizeof block);
        put(&message, NBD_ATTR_SERVER_FLAGS, &server_flags, sizeof server_flags);
        put(&message, NBD_ATTR_DEAD_CONN_TIMEOUT, &seconds, sizeof seconds);
    }
    struct nlattr *sockets = put(&message, NBD_ATTR_SOCKETS | NLA_F_NESTED, 0, 0);
    for (int i = 0; i < connections; i++) {
        struct nlattr *item = put(&message, NBD_SOCK_ITEM | NLA_F_NESTED, 0, 0);
        uint32_t fd = fds[i];
        put(&message, NBD_SOCK_FD, &fd, sizeof fd);
        end(&message, item);
    }
    end(&message, sockets);
    ask(netlink, &message);
    return 0;
}
