/* Probes of sockets. Traffic goes to this machine only.
 * Runs in: child (the sandboxed program), and outside as its own positive control. */
#define _GNU_SOURCE
#include "probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static socklen_t name_of(struct sockaddr_un *u, const char *name)
{
	size_t n = strlen(name);

	memset(u, 0, sizeof(*u));
	u->sun_family = AF_UNIX;
	if (n >= sizeof(u->sun_path))
		broken("name too long");
	memcpy(u->sun_path, name, n);
	if (name[0] == '@')
		u->sun_path[0] = 0;
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (name[0] != '@'));
}

/* args: name (@abstract or path), type */
static void local(char **args)
{
	struct sockaddr_un u;
	socklen_t n = name_of(&u, args[0]);
	int s = socket(AF_UNIX, atoi(args[1]) | SOCK_CLOEXEC, 0);

	if (s < 0)
		held("socket: %s", strerror(errno));
	if (connect(s, (struct sockaddr *)&u, n))
		held("connect: %s", strerror(errno));
	escaped("connected to %s", args[0]);
}

static void local_send(char **args)
{
	struct sockaddr_un u;
	socklen_t n = name_of(&u, args[0]);
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0 || sendto(s, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&u, n) != 1)
		held("sendto: %s", strerror(errno));
	escaped("sent to %s", args[0]);
}

static void local_listen(char **args)
{
	struct sockaddr_un u;
	socklen_t n = name_of(&u, args[0]);
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pollfd p = { s, POLLIN, 0 };

	if (s < 0 || bind(s, (struct sockaddr *)&u, n) || listen(s, 1))
		held("bind: %s", strerror(errno));
	printf("READY\n");
	fflush(stdout);
	if (poll(&p, 1, 1500) == 1)
		escaped("the host connected");
	held("nobody came");
}

static socklen_t inet(struct sockaddr_storage *ss, const char *address, int port)
{
	struct sockaddr_in *a = (void *)ss;
	struct sockaddr_in6 *b = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	if (strchr(address, ':')) {
		b->sin6_family = AF_INET6, b->sin6_port = htons((uint16_t)port);
		inet_pton(AF_INET6, address, &b->sin6_addr);
		return sizeof(*b);
	}
	a->sin_family = AF_INET, a->sin_port = htons((uint16_t)port);
	inet_pton(AF_INET, address, &a->sin_addr);
	return sizeof(*a);
}

/* args: address, port, socket type, protocol */
static void reach(char **args)
{
	struct sockaddr_storage ss;
	socklen_t n = inet(&ss, args[0], atoi(args[1]));
	int s = socket(ss.ss_family, atoi(args[2]) | SOCK_CLOEXEC, atoi(args[3]));

	if (s < 0)
		held("socket: %s", strerror(errno));
	if (connect(s, (struct sockaddr *)&ss, n))
		held("connect: %s", strerror(errno));
	if (atoi(args[2]) == SOCK_DGRAM && atoi(args[1]) != 9) {
		char c;
		struct pollfd p = { s, POLLIN, 0 };
		/* The canary answers every datagram: only an answer tells that it was reached. */
		if (send(s, "x", 1, 0) != 1 || poll(&p, 1, 1000) != 1 || recv(s, &c, 1, 0) != 1)
			held("no answer");
	}
	escaped("reached %s", args[0]);
}

static void fast_open(char **args)
{
	struct sockaddr_storage ss;
	socklen_t n = inet(&ss, args[0], atoi(args[1]));
	int s = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0 || sendto(s, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&ss, n) < 0)
		held("sendto: %s", strerror(errno));
	escaped("connected by MSG_FASTOPEN");
}

static void no_bind(char **args)
{
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)args;
	if (s < 0 || listen(s, 1))
		held("listen: %s", strerror(errno));
	escaped("listens on a port of the kernel's choice");
}

/* args: family, type, protocol */
static void make(char **args)
{
	int s = socket((int)number(args[0]), (int)number(args[1]), (int)number(args[2]));

	if (s < 0)
		held("socket: %s", strerror(errno));
	escaped("socket(%s, %s, %s)", args[0], args[1], args[2]);
}

/* Families that no policy grants. args: families, or none: all */
static void families(char **args)
{
	for (int f = 0; f < 64; f++) {
		bool asked = !args[0];
		for (char **a = args; *a; a++)
			asked |= atoi(*a) == f;
		if (!asked || f == AF_UNIX || f == AF_INET || f == AF_INET6 || (f == AF_NETLINK && !args[0]))
			continue;
		for (int type = 1; type <= 5; type++)
			if (socket(f, type, 0) >= 0)
				escaped("family %d, type %d", f, type);
	}
	held("%s", strerror(errno));
}

static void watch(char **args)
{
	int fd = inotify_init1(IN_CLOEXEC);

	if (fd < 0 || inotify_add_watch(fd, args[0], IN_ALL_EVENTS) < 0)
		held("inotify: %s", strerror(errno));
	escaped("watches %s", args[0]);
}

const struct verb net_verbs[] = {
	{ "local", 2, local }, { "localsend", 1, local_send }, { "locallisten", 1, local_listen }, { "reach", 4, reach },
	{ "fastopen", 2, fast_open }, { "nobind", 0, no_bind }, { "socket", 3, make }, { "families", 0, families }, { "watch", 1, watch }, { 0 },
};
