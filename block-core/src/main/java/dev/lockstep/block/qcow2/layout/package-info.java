/// The bytes of a qcow2 image and what they mean, without any I/O: the header, the arithmetic of
/// its tables, their entries. Everything that is read here may come from a hostile image and is
/// checked before anybody uses it. (qcow2.txt)
@NullMarked
package dev.lockstep.block.qcow2.layout;

import org.jspecify.annotations.NullMarked;
