/// The rules themselves.
@NullMarked
package dev.lockstep.tidy;

import org.jspecify.annotations.NullMarked;
