package dev.lockstep.block.format;

/// What a check has found, with the meaning of `qemu-img check --output=json`.
///
/// @param corruptions contradictions that are there still
/// @param leaks clusters whose refcount is too high still
/// @param checkErrors parts of the image that could not be read
/// @param corruptionsFixed contradictions that were repaired
/// @param leaksFixed leaks that were repaired
/// @param imageEndOffset where the last cluster in use ends
/// @param totalClusters clusters of the guest's disk
/// @param allocatedClusters how many of them have a place in the image
/// @param fragmentedClusters how many do not follow the one before
/// @param compressedClusters how many are compressed
public record CheckResult(
        long corruptions,
        long leaks,
        long checkErrors,
        long corruptionsFixed,
        long leaksFixed,
        long imageEndOffset,
        long totalClusters,
        long allocatedClusters,
        long fragmentedClusters,
        long compressedClusters) {

    /// Whether nothing is wrong, not even a leak.
    public boolean isClean() {
        return corruptions == 0 && leaks == 0 && checkErrors == 0;
    }

    /// Whether the image can be trusted: leaks do no harm.
    public boolean isSound() {
        return corruptions == 0 && checkErrors == 0;
    }

    /// The same with what is better than it was.
    public CheckResult since(CheckResult before) {
        return new CheckResult(
                corruptions,
                leaks,
                checkErrors,
                Math.max(0, before.corruptions - corruptions),
                Math.max(0, before.leaks - leaks),
                imageEndOffset,
                totalClusters,
                allocatedClusters,
                fragmentedClusters,
                compressedClusters);
    }
}
