package dev.lockstep.block.qcow2.layout;

import dev.lockstep.block.qcow2.layout.Feature.Group;

/// The three fields of feature bits, known and unknown; all are zero in version 2.
///
/// @param incompatible who does not know one of these must not open the image
/// @param compatible who does not know one of these ignores it
/// @param autoclear who does not know one of these clears it before the first write
public record Features(long incompatible, long compatible, long autoclear) {
    /// No bit is set.
    public static final Features NONE = new Features(0, 0, 0);

    /// Whether the bit is set.
    public boolean has(Feature feature) {
        return (field(feature.group()) & feature.mask()) != 0;
    }

    /// The same with the bit set.
    public Features with(Feature feature) {
        return with(feature, true);
    }

    /// The same with the bit clear.
    public Features without(Feature feature) {
        return with(feature, false);
    }

    /// The same with the bit as told.
    public Features with(Feature feature, boolean set) {
        long mask = feature.mask();
        long field = set ? field(feature.group()) | mask : field(feature.group()) & ~mask;
        return switch (feature.group()) {
            case INCOMPATIBLE -> new Features(field, compatible, autoclear);
            case COMPATIBLE -> new Features(incompatible, field, autoclear);
            case AUTOCLEAR -> new Features(incompatible, compatible, field);
        };
    }

    /// The bits that forbid us to open the image.
    public long unknownIncompatible() {
        return incompatible & ~known(Group.INCOMPATIBLE);
    }

    /// The same without the bits that an implementation which does not know them must clear before
    /// it writes to the image.
    public Features withoutUnknownAutoclear() {
        return new Features(incompatible, compatible, autoclear & known(Group.AUTOCLEAR));
    }

    private long field(Group group) {
        return switch (group) {
            case INCOMPATIBLE -> incompatible;
            case COMPATIBLE -> compatible;
            case AUTOCLEAR -> autoclear;
        };
    }

    private static long known(Group group) {
        long mask = 0;
        for (Feature feature : Feature.values()) {
            mask |= feature.group() == group ? feature.mask() : 0;
        }
        return mask;
    }
}
