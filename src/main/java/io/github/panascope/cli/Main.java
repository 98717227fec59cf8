package io.github.panascope.cli;

import io.github.panascope.hub.InputException;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.logging.Level;
import java.util.logging.Logger;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** Entry point on Java 22 and newer. Exit codes: 0 done, 1 it failed, 2 what the user gave cannot be used. */
@Command(name = "panascope", mixinStandardHelpOptions = true, versionProvider = Version.class,
        description = "Opens up GPT-2 with sparse autoencoders, through libtorch.",
        subcommands = {TutorialCommand.class, PromptCommand.class, SaesCommand.class, CheckSaeCommand.class, FetchCommand.class, DoctorCommand.class, CommandLine.HelpCommand.class})
public final class Main {
    static final int FAILED = 1, BAD_INPUT = 2;

    /** Held, or the logger would be collected and its level forgotten. It reports at every start that it found no Vector API. */
    private static final Logger PARQUET = Logger.getLogger("dev.hardwood");

    private Main() {}

    /** Runs a command and ends the process with its exit code. */
    public static void main(String[] args) {
        PARQUET.setLevel(Level.WARNING);
        // Tokens are UTF-8 whatever the locale says, as they are for the peers.
        System.setOut(new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(new FileOutputStream(FileDescriptor.err), true, StandardCharsets.UTF_8));
        System.exit(run(args));
    }

    /** Runs a command with the process's own streams; its exit code. */
    static int run(String... args) {
        CommandLine line = new CommandLine(new Main());
        line.setOut(new PrintWriter(System.out, true)).setErr(new PrintWriter(System.err, true));
        line.setCaseInsensitiveEnumValuesAllowed(true);
        line.setParameterExceptionHandler(Main::badParameter);
        line.setExecutionExceptionHandler(Main::failed);
        if (args.length == 0) {
            line.usage(line.getOut());
            return BAD_INPUT;
        }
        return line.execute(args);
    }

    private static int badParameter(CommandLine.ParameterException e, String[] args) {
        CommandLine command = e.getCommandLine();
        command.getErr().println("panascope: " + e.getMessage() + " (see " + command.getCommandSpec().qualifiedName() + " --help)");
        if (java.util.Arrays.asList(args).contains("--debug")) e.printStackTrace(command.getErr());
        return BAD_INPUT;
    }

    private static int failed(Exception e, CommandLine command, CommandLine.ParseResult result) {
        Progress.clear();
        String message = e.getMessage() == null ? e.toString() : e.getMessage();
        command.getErr().println("panascope: " + message);
        boolean debug = result.hasMatchedOption("--debug") || result.hasSubcommand() && result.subcommand().hasMatchedOption("--debug");
        if (debug) e.printStackTrace(command.getErr());
        else if (!(e instanceof InputException)) command.getErr().println("(--debug shows where it happened, `panascope doctor` looks at the installation)");
        return e instanceof InputException ? BAD_INPUT : FAILED;
    }
}
