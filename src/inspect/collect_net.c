/* The report's view of the network: interfaces and their addresses.
 * Runs in: any. */
#include "inspect/inspect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static struct seen_interface *interface(struct report *r, const char *name, unsigned flags)
{
	struct seen_interface *n;

	for (uint32_t i = 0; i < r->interfaces.kept; i++) {
		if (!strncmp(r->interfaces.i[i].name, name, sizeof r->interfaces.i[i].name))
			return &r->interfaces.i[i];
	}
	r->interfaces.total++;
	if (r->interfaces.kept == 32)
		return NULL;
	n = &r->interfaces.i[r->interfaces.kept++];
	copy_name(n->name, sizeof n->name, name);
	n->up = (flags & IFF_UP) != 0;
	n->loopback = (flags & IFF_LOOPBACK) != 0;
	return n;
}

static unsigned prefix_length(const void *mask, size_t len)
{
	const unsigned char *m = mask;
	unsigned bits = 0;

	for (size_t i = 0; i < len; i++)
		bits += (unsigned)__builtin_popcount(m[i]);
	return bits;
}

static void add_address(struct seen_interface *n, const struct sockaddr *a, const struct sockaddr *mask)
{
	char text[INET6_ADDRSTRLEN];
	const void *bytes, *mask_bytes = NULL;
	size_t len;

	if (!n || !a || (a->sa_family != AF_INET && a->sa_family != AF_INET6))
		return;
	if (a->sa_family == AF_INET) {
		bytes = &((const struct sockaddr_in *)(const void *)a)->sin_addr;
		mask_bytes = mask ? &((const struct sockaddr_in *)(const void *)mask)->sin_addr : NULL;
		len = 4;
	} else {
		bytes = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
		mask_bytes = mask ? &((const struct sockaddr_in6 *)(const void *)mask)->sin6_addr : NULL;
		len = 16;
	}
	n->total++;
	if (n->kept == 8 || !inet_ntop(a->sa_family, bytes, text, sizeof text))
		return;
	if (mask_bytes)
		snprintf(n->address[n->kept++], sizeof n->address[0], "%s/%u", text, prefix_length(mask_bytes, len));
	else
		snprintf(n->address[n->kept++], sizeof n->address[0], "%s", text);
}

/* Where netlink sockets are refused: IPv4 only, and only interfaces that have such an address. */
static int collect_by_ioctl(struct report *r)
{
	struct ifreq list[64] = { 0 };
	struct ifconf conf = { .ifc_len = sizeof list, .ifc_req = list };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), bad = 0;

	if (fd < 0)
		return errno;
	if (ioctl(fd, SIOCGIFCONF, &conf) < 0)
		bad = errno;
	for (size_t i = 0; !bad && i < (size_t)conf.ifc_len / sizeof *list; i++) {
		struct ifreq flags = list[i];
		if (ioctl(fd, SIOCGIFFLAGS, &flags) < 0)
			flags.ifr_flags = 0;
		add_address(interface(r, list[i].ifr_name, (unsigned)(unsigned short)flags.ifr_flags), &list[i].ifr_addr, NULL);
	}
	close(fd);
	return bad;
}

void collect_interfaces(struct report *r)
{
	struct ifaddrs *all;

	if (getifaddrs(&all) < 0) {
		r->interfaces.errnum = collect_by_ioctl(r);
		return;
	}
	for (struct ifaddrs *a = all; a; a = a->ifa_next)
		add_address(interface(r, a->ifa_name, a->ifa_flags), a->ifa_addr, a->ifa_netmask);
	freeifaddrs(all);
}
