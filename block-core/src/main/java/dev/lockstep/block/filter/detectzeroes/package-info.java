/// A filter that looks at what is written: a write of nothing but zeroes becomes a zero, which
/// takes no time and, where it may unmap, no space. It costs a look at every byte, so it is off
/// unless somebody asks for it (`detect-zeroes=on` or `unmap`).
@NullMarked
package dev.lockstep.block.filter.detectzeroes;

import org.jspecify.annotations.NullMarked;
