package dev.lockstep.qmp;

import java.io.IOException;

/// A command was refused or failed: what a handler throws to answer an error, and what a client's
/// call throws when it is answered one. The connection is fine; its loss is a plain [IOException].
public final class QmpException extends IOException {
    private static final long serialVersionUID = 1L;

    private final ErrorClass errorClass;

    /// An error of class [ErrorClass#GENERIC_ERROR].
    ///
    /// @param description one sentence for people
    public QmpException(String description) {
        this(ErrorClass.GENERIC_ERROR, description);
    }

    /// An error of any class.
    public QmpException(ErrorClass errorClass, String description) {
        super(description);
        this.errorClass = errorClass;
    }

    /// What programs decide by.
    public ErrorClass errorClass() {
        return errorClass;
    }

    /// The sentence for people.
    public String description() {
        return String.valueOf(getMessage());
    }
}
