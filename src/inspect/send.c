/* The report from process to process, as it is in memory: both ends are the same program.
 * Runs in: any. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "inspect/inspect.h"

static bool valid_list(const struct inspect_list *l)
{
	uint32_t ends = 0;

	if (l->used > sizeof l->text || l->kept > l->total || (l->used && l->text[l->used - 1]))
		return false;
	for (uint32_t i = 0; i < l->used; i++)
		ends += !l->text[i];
	return ends == l->kept;
}

static bool ended(const char *s, size_t size)
{
	return memchr(s, '\0', size);
}

bool inspect_valid(const struct inspect_report *r, size_t size)
{
	return size == sizeof *r && r->magic == INSPECT_MAGIC && r->size == sizeof *r && r->cap_count <= 64 &&
	       ended(r->uid_map, sizeof r->uid_map) && ended(r->gid_map, sizeof r->gid_map) && ended(r->host, sizeof r->host) &&
	       ended(r->domain, sizeof r->domain) && ended(r->shared_path, sizeof r->shared_path) && valid_list(&r->groups) &&
	       valid_list(&r->root) && valid_list(&r->processes) && valid_list(&r->interfaces) && valid_list(&r->environment) &&
	       valid_list(&r->descriptors) && valid_list(&r->mounts) && valid_list(&r->shared);
}

int inspect_send(int fd, const struct inspect_report *r)
{
	const char *data = (const char *)r;
	size_t done = 0;

	while (done < sizeof *r) {
		ssize_t n = write(fd, data + done, sizeof *r - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}
