/* Network interfaces, one entry each: "lo up 127.0.0.1 ::1".
 * Runs in: any. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "inspect/collect.h"

static bool address(const struct ifaddrs *a, char *out, socklen_t size)
{
	if (!a->ifa_addr)
		return false;
	if (a->ifa_addr->sa_family == AF_INET)
		return inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr, out, size);
	if (a->ifa_addr->sa_family == AF_INET6)
		return inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr, out, size);
	return false;
}

static void add_interface(struct inspect_list *l, const struct ifaddrs *all, const struct ifaddrs *first)
{
	char text[1024], number[INET6_ADDRSTRLEN];
	size_t used = (size_t)snprintf(text, sizeof text, "%s %s", first->ifa_name, first->ifa_flags & IFF_UP ? "up" : "down");

	for (const struct ifaddrs *a = all; a && used < sizeof text; a = a->ifa_next) {
		if (!strcmp(a->ifa_name, first->ifa_name) && address(a, number, sizeof number))
			used += (size_t)snprintf(text + used, sizeof text - used, " %s", number);
	}
	inspect_list_add(l, text);
}

static bool seen(const struct ifaddrs *all, const struct ifaddrs *a)
{
	for (; all != a; all = all->ifa_next) {
		if (!strcmp(all->ifa_name, a->ifa_name))
			return true;
	}
	return false;
}

void collect_interfaces(struct inspect_list *l)
{
	struct ifaddrs *all = NULL;

	if (getifaddrs(&all) < 0) {
		l->errnum = errno;
		return;
	}
	for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
		if (!seen(all, a))
			add_interface(l, all, a);
	}
	freeifaddrs(all);
}
