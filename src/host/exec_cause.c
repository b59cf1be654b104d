/* Why an existing file can't be executed: looks at its first bytes, as the kernel did.
 * Runs in: parent. */
#include <elf.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "host/internal.h"
#include "sys/sys.h"

#define HEAD_BYTES 16384
#define SCRIPT_LINE 256 /* what the kernel reads of a "#!" line */
#define ST_NO_EXEC 8    /* ST_NOEXEC of statfs(2) */

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OWN_ORDER ELFDATA2LSB
#else
#define OWN_ORDER ELFDATA2MSB
#endif
#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#define OWN_COMPAT EM_386
#elif defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#define OWN_COMPAT EM_ARM
#endif

const char *host_machine_name(unsigned machine)
{
	switch (machine) {
	case EM_X86_64: return "x86_64";
	case EM_386: return "i386";
	case EM_AARCH64: return "aarch64";
	case EM_ARM: return "arm";
	case 243: return "riscv";
	case EM_PPC64: return "powerpc64";
	case EM_S390: return "s390";
	case EM_MIPS: return "mips";
	case 258: return "loongarch";
	}
	return NULL;
}

/* The interpreter's name out of the program header at offset; false = it isn't PT_INTERP or lies outside. */
static bool take_interpreter(const unsigned char *bytes, size_t len, uint64_t at, struct program *p)
{
	uint64_t offset, size;
	uint32_t type;

	if (p->bits == 64) {
		Elf64_Phdr h;

		if (at > len || len - at < sizeof h)
			return false;
		memcpy(&h, bytes + at, sizeof h);
		type = h.p_type, offset = h.p_offset, size = h.p_filesz;
	} else {
		Elf32_Phdr h;

		if (at > len || len - at < sizeof h)
			return false;
		memcpy(&h, bytes + at, sizeof h);
		type = h.p_type, offset = h.p_offset, size = h.p_filesz;
	}
	if (type != PT_INTERP || size < 2 || size > sizeof p->interpreter || offset > len || len - offset < size)
		return false;
	memcpy(p->interpreter, bytes + offset, size);
	p->interpreter[size - 1] = '\0';
	return true;
}

static void parse_elf(const unsigned char *bytes, size_t len, struct program *p)
{
	uint64_t offset, size, count;

	p->kind = PROGRAM_ELF;
	p->bits = bytes[EI_CLASS] == ELFCLASS64 ? 64 : 32;
	if (bytes[EI_DATA] != OWN_ORDER) {
		p->foreign_order = true;
		return;
	}
	if (p->bits == 64) {
		Elf64_Ehdr h;

		if (len < sizeof h)
			return;
		memcpy(&h, bytes, sizeof h);
		p->machine = h.e_machine, offset = h.e_phoff, size = h.e_phentsize, count = h.e_phnum;
	} else {
		Elf32_Ehdr h;

		if (len < sizeof h)
			return;
		memcpy(&h, bytes, sizeof h);
		p->machine = h.e_machine, offset = h.e_phoff, size = h.e_phentsize, count = h.e_phnum;
	}
	if (offset > len)
		return;
	for (uint64_t i = 0; i < count && i < 256; i++)
		if (take_interpreter(bytes, len, offset + i * size, p))
			return;
}

static void parse_script(const unsigned char *bytes, size_t len, struct program *p)
{
	size_t at = 2, n = 0, limit = len < SCRIPT_LINE ? len : SCRIPT_LINE;

	p->kind = PROGRAM_SCRIPT;
	while (at < limit && (bytes[at] == ' ' || bytes[at] == '\t'))
		at++;
	while (at < limit && bytes[at] != ' ' && bytes[at] != '\t' && bytes[at] != '\n' && bytes[at] != '\0')
		p->interpreter[n++] = (char)bytes[at++];
	if (n > 0 && p->interpreter[n - 1] == '\r') {
		p->carriage_return = true;
		n--;
	}
	p->interpreter[n] = '\0';
}

void host_parse_program(const unsigned char *bytes, size_t len, struct program *p)
{
	memset(p, 0, sizeof *p);
	if (len == 0)
		return;
	p->kind = PROGRAM_OTHER;
	p->text = memchr(bytes, '\0', len < 512 ? len : 512) == NULL;
	if (len >= EI_NIDENT && memcmp(bytes, ELFMAG, SELFMAG) == 0)
		parse_elf(bytes, len, p);
	else if (len >= 2 && bytes[0] == '#' && bytes[1] == '!')
		parse_script(bytes, len, p);
	else if (len >= 2 && bytes[0] == 'M' && bytes[1] == 'Z')
		p->kind = PROGRAM_WINDOWS;
}

/* ---- telling ---- */
static void tell_interpreter(const char *what, const char *interpreter, struct hutch_error *e)
{
	if (access(interpreter, F_OK) != 0) {
		error_detail(e, "the %s that it names, %s, doesn't exist on this host", what, interpreter);
		error_remedy(e, "install the package that has %s, or build the program for this system (statically, with another loader)", interpreter);
		return;
	}
	error_detail(e, "the %s that it names, %s, exists on this host but can't be used inside", what, interpreter);
	error_remedy(e, "show it inside (--ro %s, and the directories of its own files), or leave --system=yes on", interpreter);
}

static void explain_elf(const struct program *p, int errnum, struct hutch_error *e)
{
	const char *name = host_machine_name(p->machine);

	if (p->foreign_order || (p->machine != OWN_MACHINE && p->machine != OWN_COMPAT)) {
		error_detail(e, "it is built for another processor (%s), this machine is %s", p->foreign_order || !name ? "unknown to hutch" : name,
			     host_machine_name(OWN_MACHINE));
		error_remedy(e, "build it for this machine, or install an emulator for it (qemu-user-static with binfmt_misc)");
	} else if (p->machine == OWN_COMPAT && errnum == ENOEXEC) {
		error_detail(e, "it is a 32-bit program, and this kernel runs none");
		error_remedy(e, "build it for 64 bits, or boot a kernel with 32-bit emulation");
	} else if (p->interpreter[0] && (errnum == ENOENT || errnum == EACCES || errnum == ENOTDIR)) {
		tell_interpreter("loader", p->interpreter, e);
	}
}

static void explain_script(const struct program *p, int errnum, struct hutch_error *e)
{
	if (!p->interpreter[0]) {
		error_detail(e, "its #! line names no interpreter");
		error_remedy(e, "write the interpreter's full path after #!, for example #!/bin/sh");
	} else if (p->carriage_return) {
		error_detail(e, "the line #!%s ends as in Windows (CR LF), so the kernel looks for a file whose name ends with a carriage return", p->interpreter);
		error_remedy(e, "convert the file: sed -i 's/\\r$//' FILE (or dos2unix)");
	} else if (p->interpreter[0] != '/') {
		error_detail(e, "the interpreter %s of its #! line is no absolute path", p->interpreter);
		error_remedy(e, "write the full path after #!, or #!/usr/bin/env %s", p->interpreter);
	} else if (errnum == ENOENT || errnum == EACCES || errnum == ENOTDIR) {
		tell_interpreter("interpreter", p->interpreter, e);
	}
}

static void explain_bytes(const struct program *p, int errnum, struct hutch_error *e)
{
	switch (p->kind) {
	case PROGRAM_ELF:
		explain_elf(p, errnum, e);
		return;
	case PROGRAM_SCRIPT:
		explain_script(p, errnum, e);
		return;
	case PROGRAM_EMPTY:
		error_detail(e, "the file is empty");
		error_remedy(e, "it was probably not built or not copied whole: make it again");
		return;
	case PROGRAM_WINDOWS:
		error_detail(e, "it is a program for Windows");
		error_remedy(e, "name the program that runs it first: wine FILE");
		return;
	case PROGRAM_OTHER:
		if (errnum != ENOEXEC)
			return;
		error_detail(e, p->text ? "it is a text without a #! line, so the kernel doesn't know who should read it" :
			     "it is in no format that the kernel executes");
		error_remedy(e, p->text ? "name the interpreter first (sh FILE), or make #!/bin/sh its first line" :
			     "look what it is: file FILE");
	}
}

/* What the inode alone tells. True = that was it. */
static bool explain_inode(const char *path, const struct stat *s, struct hutch_error *e)
{
	struct statfs fs;

	if (S_ISDIR(s->st_mode)) {
		error_detail(e, "%s is a directory", path);
		error_remedy(e, "name a program in it");
		return true;
	}
	if (!S_ISREG(s->st_mode)) {
		error_detail(e, "%s is no regular file", path);
		error_remedy(e, "name a program file");
		return true;
	}
	if (!(s->st_mode & 0111)) {
		error_detail(e, "nobody may execute it (mode 0%o)", (unsigned)s->st_mode & 07777);
		error_remedy(e, "chmod +x it, or name its interpreter first (sh FILE, python3 FILE)");
		return true;
	}
	if (statfs(path, &fs) == 0 && (fs.f_flags & ST_NO_EXEC)) {
		error_detail(e, "its file system is mounted noexec on this host");
		error_remedy(e, "copy the program to a place without noexec, or name its interpreter first (sh FILE)");
		return true;
	}
	return false;
}

void host_explain_exec(const char *host_path, int errnum, struct hutch_error *e)
{
	unsigned char head[HEAD_BYTES];
	struct program p;
	struct stat s;

	if (!host_path || !e || stat(host_path, &s) != 0 || explain_inode(host_path, &s, e))
		return;
	int fd = sys_openat(AT_FDCWD, host_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);

	if (fd < 0)
		return; /* executable but not readable: nothing more can be told */
	long n = SYS4(SYS_pread64, fd, head, sizeof head, 0);

	sys_close(fd);
	if (n < 0)
		return;
	host_parse_program(head, (size_t)n, &p);
	explain_bytes(&p, errnum, e);
	if (errnum == EACCES && !e->detail[0]) {
		error_detail(e, "the file's mode is 0%o, owner %u:%u: the id that runs inside may not execute it", (unsigned)s.st_mode & 07777,
			     (unsigned)s.st_uid, (unsigned)s.st_gid);
		error_remedy(e, "let others execute and read it (chmod a+rx), its directories too; or run with its owner's id (--map)");
	}
}
