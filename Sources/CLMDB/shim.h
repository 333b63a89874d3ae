#include <lmdb.h>
#include <sys/file.h>
#include <sys/vfs.h>
