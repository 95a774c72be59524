/// A filter that has what is written kept compressed, with QEMU's name `compress`: an image that is
/// filled once, by a copy or an installation, comes out small.
///
/// Whole units are compressed, see [dev.lockstep.block.CompressedTarget]; writes of less pass as
/// they are, and undo the compression of what they touch. QEMU's filter widens small writes by
/// reading around them, but its qcow2 then refuses to write a cluster again; here all writes
/// succeed.
@NullMarked
package dev.lockstep.block.filter.compress;

import org.jspecify.annotations.NullMarked;
