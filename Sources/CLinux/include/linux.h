#ifndef MIDREG_LINUX_H
#define MIDREG_LINUX_H

#endif
