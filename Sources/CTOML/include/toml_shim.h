#ifndef MIDREG_TOML_SHIM_H
#define MIDREG_TOML_SHIM_H

#endif
