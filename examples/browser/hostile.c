/* What an attacker's code would do who has taken a renderer over. Real exploits aren't needed to show what they
 * would meet: a page that says <meta name=exploit content=…> gets its wish.
 * Runs in: inside. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "renderer.h"

static void tell(struct view *v, const char *what, long result)
{
	char text[200];

	if (result < 0)
		snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
	else
		snprintf(text, sizeof text, "%s: GOT OUT", what);
	note(v, text);
}

static long connect_inet(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(22), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int s = socket(AF_INET, SOCK_STREAM, 0);

	return s < 0 ? -1 : connect(s, (struct sockaddr *)&a, sizeof a);
}

static long connect_unix(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, path);
	return s < 0 ? -1 : connect(s, (struct sockaddr *)&a, sizeof a);
}

static long run_shell(void)
{
	execl("/bin/sh", "sh", "-c", "true", NULL);
	return -1;
}

static void try_everything(struct view *v)
{
	tell(v, "read /etc/hostname", open("/etc/hostname", O_RDONLY));
	tell(v, "read /etc/shadow", open("/etc/shadow", O_RDONLY));
	tell(v, "list /var/log", open("/var/log", O_RDONLY | O_DIRECTORY));
	tell(v, "list /root", open("/root", O_RDONLY | O_DIRECTORY));
	tell(v, "read /proc/1/environ", open("/proc/1/environ", O_RDONLY));
	tell(v, "write beside the fonts", open("/usr/share/fonts/evil", O_WRONLY | O_CREAT, 0644));
	tell(v, "write to the root", open("/evil", O_WRONLY | O_CREAT, 0644));
	tell(v, "connect to 127.0.0.1", connect_inet());
	tell(v, "connect to the system bus", connect_unix("/run/dbus/system_bus_socket"));
	tell(v, "run a shell", run_shell());
	tell(v, "signal the parent", getppid() > 1 ? kill(getppid(), 0) : (errno = ESRCH, -1));
	tell(v, "trace process 1", ptrace(PTRACE_ATTACH, 1, NULL, NULL));
	tell(v, "mount", mount("none", "/usr/share/fonts", "tmpfs", 0, NULL));
	tell(v, "a user namespace of its own", unshare(CLONE_NEWUSER));
	tell(v, "become root", setuid(0) == 0 && geteuid() == 0 && open("/etc/shadow", O_RDONLY) >= 0 ? 0 : (errno = EPERM, -1));
}

static void try_broker(struct view *v)
{
	static const char *const addresses[] = {
		"file:///etc/shadow", "http://127.0.0.1:1/", "http://example.org/", "//127.0.0.1:22/", "/a HTTP/1.0\r\nX: y", "../../../etc/shadow",
	};
	struct canvas lie = { 800, 1u << 30 };
	size_t len;

	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
		if (picture_ask(v, addresses[i], &len))
			note(v, "the broker fetched it: GOT OUT");
	}
	hutch_channel_put(v->channel, TAG_DONE, &lie, sizeof lie, NULL, 0, -1, NULL);
	pause();
}

void hostile_act(struct view *v, const char *how)
{
	if (!strcmp(how, "crash"))
		raise(SIGSEGV);
	for (; !strcmp(how, "loop");)
		continue;
	for (; !strcmp(how, "bomb");) {
		void *p = malloc(16 << 20);
		if (!p)
			abort();
		memset(p, 1, 16 << 20);
	}
	for (; !strcmp(how, "flood");)
		note(v, "flood");
	if (!strcmp(how, "escape"))
		try_everything(v);
	if (!strcmp(how, "broker"))
		try_broker(v);
}
