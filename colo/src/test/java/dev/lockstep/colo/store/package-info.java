/// State files, whole and damaged.
@NullMarked
package dev.lockstep.colo.store;

import org.jspecify.annotations.NullMarked;
