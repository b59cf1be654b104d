/* Can a library be put in front of this program's own? Looked at before it is started.
 * Runs in: parent. */
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cli/cli.h"

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#define LOADER "ld-linux-x86-64.so.2"
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#define LOADER "ld-linux-aarch64.so.1"
#endif

static bool read_at(int fd, void *to, size_t size, uint64_t at)
{
	return pread(fd, to, size, (off_t)at) == (ssize_t)size;
}

/* The loader that the program names: 1 = found, 0 = it names none. */
static int loader(int fd, const Elf64_Ehdr *h, char *path, size_t size)
{
	for (unsigned i = 0; i < h->e_phnum; i++) {
		Elf64_Phdr p;
		if (!read_at(fd, &p, sizeof p, h->e_phoff + (uint64_t)i * h->e_phentsize))
			return 0;
		if (p.p_type != PT_INTERP)
			continue;
		size_t n = p.p_filesz < size - 1 ? p.p_filesz : size - 1;
		if (!read_at(fd, path, n, p.p_offset))
			return 0;
		path[n] = 0;
		return 1;
	}
	return 0;
}

static const char *refuses_elf(int fd, const Elf64_Ehdr *h)
{
	char path[4096], *name;

	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_machine != MACHINE)
		return "it is a program for another kind of processor or another ABI than the library's";
	if (!loader(fd, h, path, sizeof path))
		return "it is statically linked: nothing loads a library into it";
	name = strrchr(path, '/');
	if (strcmp(name ? name + 1 : path, LOADER))
		return "it has another loader than the C library's that libhutch-preload.so is made for";
	return NULL;
}

const char *door_refuses(int fd, bool *missing)
{
	Elf64_Ehdr h = { 0 };
	struct stat st;
	char cap[64];

	*missing = false;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111)) {
		*missing = true;
		return "it is no executable file";
	}
	if (st.st_mode & (S_ISUID | S_ISGID))
		return "it is setuid or setgid: the loader ignores LD_PRELOAD there";
	if (fgetxattr(fd, "security.capability", cap, sizeof cap) >= 0)
		return "it has file capabilities: the loader ignores LD_PRELOAD there";
	if (pread(fd, &h, sizeof h, 0) < 2)
		return "it is too short to be a program";
	if (!memcmp(h.e_ident, "#!", 2))
		return "it is a script: its interpreter would be confined, by that one's own means of starting";
	if (memcmp(h.e_ident, ELFMAG, SELFMAG))
		return "it is no ELF program";
	return refuses_elf(fd, &h);
}
