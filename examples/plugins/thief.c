/* A plug-in that looks for a way out. Its answer is a bit for each that it found.
 * Runs in: inside. */
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "plugin.h"

const char *plugin_name(void)
{
	return "thief";
}

static int can_connect(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(22), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int s = socket(AF_INET, SOCK_STREAM, 0);

	return s >= 0 && connect(s, (struct sockaddr *)&a, sizeof a) == 0;
}

/* x: the pid of the program that loaded us. */
int64_t plugin_call(int64_t x)
{
	const int found[] = {
		open("/etc/shadow", O_RDONLY) >= 0,
		open("/root/.bashrc", O_RDONLY) >= 0 || open("/home/.", O_RDONLY | O_TMPFILE | O_WRONLY, 0600) >= 0,
		open("/usr/bin/plugin-was-here", O_WRONLY | O_CREAT, 0755) >= 0,
		can_connect(),
		x > 1 && kill((pid_t)x, 0) == 0,
		x > 1 && ptrace(PTRACE_ATTACH, (pid_t)x, NULL, NULL) == 0,
		system("test -r /etc/shadow") == 0,
		setuid(0) == 0 && getuid() == 0,
		open("/proc/1/mem", O_RDWR) >= 0,
	};
	int64_t bits = 0;

	for (unsigned i = 0; i < sizeof found / sizeof *found; i++)
		bits |= (int64_t)found[i] << i;
	return bits;
}
