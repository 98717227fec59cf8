package io.github.panascope.cli;

import io.github.panascope.InputException;
import java.io.PrintWriter;
import java.util.Arrays;
import picocli.CommandLine;

/**
 * Runs commands with the streams of the process, for the command line and the command for Apache Spark: an error is one
 * sentence, with a trace after {@code --debug}, and the exit code tells whose mistake it was.
 */
public final class CommandRunner {
    static final int FAILED = 1;
    static final int BAD_INPUT = 2;

    private CommandRunner() {}

    /**
     * Runs a command.
     *
     * @param commands the command with its subcommands, annotated for picocli
     * @param hint     what is printed after an unforeseen error
     * @param args     the subcommand and its options
     * @return the exit code: 0 for success, 1 for a failure, 2 for input that cannot be used
     */
    public static int run(Object commands, String hint, String... args) {
        CommandLine line = new CommandLine(commands);
        line.setOut(new PrintWriter(System.out, true)).setErr(new PrintWriter(System.err, true));
        line.setCaseInsensitiveEnumValuesAllowed(true);
        line.setExpandAtFiles(false); // a prompt may begin with @
        line.setParameterExceptionHandler(CommandRunner::badParameter);
        line.setExecutionExceptionHandler((e, command, result) -> failed(e, command, result, hint));
        if (args.length == 0) {
            line.usage(line.getOut());
            return BAD_INPUT;
        }
        return line.execute(args);
    }

    private static int badParameter(CommandLine.ParameterException e, String[] args) {
        CommandLine command = e.getCommandLine();
        command.getErr()
                .println("panascope: " + e.getMessage() + " (see "
                        + command.getCommandSpec().qualifiedName() + " --help)");
        if (Arrays.asList(args).contains("--debug")) e.printStackTrace(command.getErr());
        return BAD_INPUT;
    }

    private static int failed(Exception e, CommandLine command, CommandLine.ParseResult result, String hint) {
        Progress.clear();
        String message = e.getMessage() == null ? e.toString() : e.getMessage();
        command.getErr().println("panascope: " + message);
        boolean debug = result.hasMatchedOption("--debug")
                || result.hasSubcommand() && result.subcommand().hasMatchedOption("--debug");
        if (debug) e.printStackTrace(command.getErr());
        else if (!(e instanceof InputException)) command.getErr().println(hint);
        return e instanceof InputException ? BAD_INPUT : FAILED;
    }
}
