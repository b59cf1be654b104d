/* expect: accepted
 * A sieve. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	unsigned n, count = 0;
	char *composite;

	if (scanf("%u", &n) != 1 || !(composite = calloc(n + 1ul, 1)))
		return 1;
	for (unsigned i = 2; i <= n; i++) {
		if (composite[i])
			continue;
		count++;
		for (unsigned long k = (unsigned long)i * i; k <= n; k += i)
			composite[k] = 1;
	}
	printf("%u\n", count);
	return 0;
}
