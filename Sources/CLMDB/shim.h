#include <lmdb.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <sys/prctl.h>

/// Names the calling thread, at most 15 bytes, for whoever looks at the process.
static inline void midreg_name_this_thread(const char *_Nonnull name) {
    (void)prctl(PR_SET_NAME, name, 0, 0, 0);
}
