/* expect: accepted
 * The right answer, and a process in a session of its own that would stay (20 seconds): it ends with the run. */
#include <unistd.h>
#include <stdio.h>

static long long answer(void)
{
	long long n, x, sum = 0;

	if (scanf("%lld", &n) != 1)
		return 0;
	while (n-- > 0 && scanf("%lld", &x) == 1)
		sum += x;
	return sum;
}

int main(void)
{
	printf("%lld\n", answer());
	fflush(stdout);
	if (fork() == 0) {
		setsid();
		if (fork() == 0) {
			close(0);
			close(1);
			close(2);
			sleep(20);
		}
		_exit(0);
	}
	return 0;
}
