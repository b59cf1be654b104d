/* The broker's network: HTTP/1.0, local servers only, every answer bounded in size and time.
 * Runs in: parent. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "browser.h"

#define START "http://127.0.0.1:"

static int split(const char *url, unsigned *port, const char **path)
{
	char *end;

	if (strncmp(url, START, strlen(START)))
		return -1;
	*port = (unsigned)strtoul(url + strlen(START), &end, 10);
	*path = end;
	/* What would end the request line early is no part of an address. */
	for (const char *c = end; *c; c++) {
		if (*c <= ' ' || *c >= 127)
			return -1;
	}
	return *port && *port < 65536 && *end == '/' ? 0 : -1;
}

int resolve(const char *page, const char *link, char *out, size_t size)
{
	const char *path;
	unsigned port;
	int n;

	/* Another scheme, or another server named without one. */
	if (split(page, &port, &path) < 0 || (link[strcspn(link, ":/")] == ':' && strncmp(link, "http:", 5)) || !strncmp(link, "//", 2))
		return -1;
	if (!strncmp(link, "http:", 5))
		n = snprintf(out, size, "%s", link);
	else if (link[0] == '/')
		n = snprintf(out, size, START "%u%s", port, link);
	else
		n = snprintf(out, size, "%.*s%s", (int)(strrchr(page, '/') + 1 - page), page, link);
	char own[64];
	int len = snprintf(own, sizeof own, START "%u/", port);
	return n > 0 && (size_t)n < size && !strncmp(out, own, (size_t)len) && split(out, &port, &path) == 0 ? 0 : -1;
}

static int connect_to(unsigned port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { 5, 0 };
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		return -1;
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (connect(s, (struct sockaddr *)&a, sizeof a) == 0)
		return s;
	close(s);
	return -1;
}

int fetch(const char *url, size_t most, unsigned char **bytes, size_t *len)
{
	size_t room = most + 8192, got = 0;
	char *all = malloc(room + 1), *body = NULL, request[2048];
	const char *path;
	unsigned port;
	ssize_t n = -1;
	int s = -1, r = -1, size;

	if (all && split(url, &port, &path) == 0 && (s = connect_to(port)) >= 0) {
		size = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: 127.0.0.1:%u\r\n\r\n", path, port);
		if (size > 0 && (size_t)size < sizeof request && send(s, request, (size_t)size, MSG_NOSIGNAL) == size) {
			while (got < room && (n = recv(s, all + got, room - got, 0)) > 0)
				got += (size_t)n;
		}
	}
	if (all && n == 0) {
		all[got] = 0;
		body = strstr(all, "\r\n\r\n");
	}
	if (body && !strncmp(all, "HTTP/1.", 7) && !strncmp(all + 8, " 200", 4)) {
		*len = got - (size_t)(body + 4 - all);
		*bytes = *len <= most ? malloc(*len + 1) : NULL;
		if (*bytes) {
			memcpy(*bytes, body + 4, *len);
			r = 0;
		}
	}
	if (s >= 0)
		close(s);
	free(all);
	return r;
}
