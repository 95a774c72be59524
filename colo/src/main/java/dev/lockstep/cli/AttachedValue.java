package dev.lockstep.cli;

import picocli.CommandLine.IParameterPreprocessor;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;

import java.util.Map;
import java.util.Stack;

/// Lets an option's optional value be given only as `--option=VALUE`, as GNU programs have it, so
/// that `--option` does not swallow the argument that follows.
final class AttachedValue implements IParameterPreprocessor {
    @Override
    @SuppressWarnings("JdkObsolete") // picocli's signature
    public boolean preprocess(
            Stack<String> arguments,
            CommandSpec command,
            ArgSpec argument,
            Map<String, Object> info) {
        if (info.get("separator") == null) {
            arguments.push(fallback(argument));
        }
        return false;
    }

    private static String fallback(ArgSpec argument) {
        return ((picocli.CommandLine.Model.OptionSpec) argument).fallbackValue();
    }
}
