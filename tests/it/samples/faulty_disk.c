/* A disk that fails: loaded before the C library (LD_PRELOAD), it lets some reads, writes or syncs of the files below
 * FAULTY_DIRECTORY fail. FAULTY_CALLS is "read", "write" or "sync"; FAULTY_AFTER of these calls go well, then every
 * FAULTY_EVERY-th fails. A failed write leaves half of its bytes in the file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls;

static int fails(int fd, const char *kind) {
  const char *directory = getenv("FAULTY_DIRECTORY"), *wanted = getenv("FAULTY_CALLS");
  if (!directory || !wanted || strcmp(kind, wanted) != 0) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  if (strncmp(path, directory, strlen(directory)) != 0) return 0;
  long call = atomic_fetch_add(&calls, 1) - atol(getenv("FAULTY_AFTER"));
  return call >= 0 && call % atol(getenv("FAULTY_EVERY")) == 0;
}

#define REAL(type, name) static type (*real)() = 0; if (!real) real = (type (*)())dlsym(RTLD_NEXT, name)
#define FAIL(code) do { errno = (code); return -1; } while (0)

ssize_t read(int fd, void *to, size_t size) {
  REAL(ssize_t, "read");
  if (fails(fd, "read")) FAIL(EIO);
  return real(fd, to, size);
}

ssize_t pread64(int fd, void *to, size_t size, off64_t at) {
  REAL(ssize_t, "pread64");
  if (fails(fd, "read")) FAIL(EIO);
  return real(fd, to, size, at);
}

ssize_t write(int fd, const void *from, size_t size) {
  REAL(ssize_t, "write");
  if (fails(fd, "write")) { (void)real(fd, from, size / 2); FAIL(ENOSPC); }
  return real(fd, from, size);
}

ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at) {
  REAL(ssize_t, "pwrite64");
  if (fails(fd, "write")) { (void)real(fd, from, size / 2, at); FAIL(ENOSPC); }
  return real(fd, from, size, at);
}

int fsync(int fd) {
  REAL(int, "fsync");
  if (fails(fd, "sync")) FAIL(EIO);
  return real(fd);
}

int fdatasync(int fd) {
  REAL(int, "fdatasync");
  if (fails(fd, "sync")) FAIL(EIO);
  return real(fd);
}
