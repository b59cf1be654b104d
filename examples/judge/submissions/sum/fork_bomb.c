/* expect: processes
 * Forks as long as it can; here 300 times at most. */
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
	for (int i = 0; i < 300; i++) {
		pid_t p = fork();
		if (p < 0) {
			sleep(1);
			return 1;
		}
		if (p == 0) {
			sleep(3);
			_exit(0);
		}
	}
	printf("%lld\n", answer());
	return 0;
}
