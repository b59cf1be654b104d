/* expect: wall limit
 * Ignores SIGTERM and sleeps. */
#include <signal.h>
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
	signal(SIGTERM, SIG_IGN);
	sleep(8);
	printf("%lld\n", answer());
	return 0;
}
