package dev.lockstep.cli.img;

import dev.lockstep.block.BlockException;
import dev.lockstep.block.BlockException.Kind;
import dev.lockstep.block.qcow2.Qcow2Device;
import dev.lockstep.block.qcow2.bitmaps.ImageBitmaps;
import dev.lockstep.block.qcow2.bitmaps.PersistentBitmap;
import dev.lockstep.image.OpenImage;

import java.util.ArrayList;
import java.util.List;

/// The dirty bitmaps that a copy of an image is to have too: those of the image itself, not those
/// of the images below it.
///
/// @param diskBytes the length of the disk that they are about
record BitmapCopy(List<PersistentBitmap> bitmaps, long diskBytes) {
    /// Nobody asked for any.
    static final BitmapCopy NONE = new BitmapCopy(List.of(), -1);

    /// Those of an image.
    ///
    /// @param skipBroken those that cannot be believed are left out, which is told of on standard
    ///     error; otherwise they are a failure
    static BitmapCopy of(OpenImage source, boolean skipBroken) throws BlockException {
        Qcow2Device device = device(source);
        List<PersistentBitmap> copied = new ArrayList<>();
        for (PersistentBitmap bitmap : device.bitmaps().all()) {
            if (bitmap.isConsistent()) {
                copied.add(bitmap);
            } else if (skipBroken) {
                System.err.println(
                        "lockstep img convert: warning: the bitmap '%s' is inconsistent: left out"
                                .formatted(bitmap.name()));
            } else {
                throw new BlockException(
                        Kind.INVALID,
                        ("the bitmap '%s' is inconsistent: leave such bitmaps out with"
                                        + " --skip-broken-bitmaps, or remove it with 'lockstep img"
                                        + " bitmap --remove'")
                                .formatted(bitmap.name()));
            }
        }
        return new BitmapCopy(copied, device.size());
    }

    /// Copying them to an image.
    interface To {
        /// Does it. No request is in flight.
        void run() throws BlockException;
    }

    /// Prepares to put them into an image. Those that record go on recording there.
    ///
    /// @throws BlockException if it cannot have any
    To to(OpenImage image) throws BlockException {
        if (equals(NONE)) {
            return () -> {};
        }
        Qcow2Device target = device(image);
        return () -> {
            ImageBitmaps kept = target.bitmaps();
            for (PersistentBitmap bitmap : bitmaps) {
                kept.add(bitmap.name(), bitmap.granularity());
                kept.merge(bitmap.name(), bitmap, diskBytes);
                kept.enable(bitmap.name(), bitmap.isEnabled());
            }
        };
    }

    /// The image's own driver, if it keeps bitmaps.
    private static Qcow2Device device(OpenImage image) throws BlockException {
        if (image.image().bare() instanceof Qcow2Device device) {
            return device;
        }
        throw new BlockException(
                Kind.UNSUPPORTED,
                "--bitmaps: %s is of the format %s, and only qcow2 images have bitmaps inside"
                        .formatted(
                                image.image().device().description(),
                                Images.format(image.image())));
    }
}
