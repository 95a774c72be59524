/// Making qcow2 images.
///
/// [dev.lockstep.block.qcow2.create.CreateOptions] has the names and the meaning of `qemu-img
/// create -o`; [dev.lockstep.block.qcow2.create.Qcow2Creator] writes an image through the gate to
/// the file or device that is to hold it. Nothing of the engine is needed: the whole image is laid
/// out by arithmetic and written once, from the front to the back:
///
///     header | refcount table | refcount blocks | L1 table | L2 tables | the guest's clusters
///
/// L2 tables and clusters are there only where metadata is preallocated.
///
/// **The header is written last**, after a sync: until then the file begins with zeroes, and no
/// program takes it for an image. What was in the file before is gone with the first step.
@NullMarked
package dev.lockstep.block.qcow2.create;

import org.jspecify.annotations.NullMarked;
