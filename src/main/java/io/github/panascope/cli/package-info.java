/**
 * The command line, which is not part of the library jar. Each command is a picocli class: it checks its options before
 * it computes anything, calls the library, prints results, and writes files. Commands share groups of options, so that
 * an option means the same everywhere.
 *
 * <ul>
 * <li>{@link io.github.panascope.cli.Main}: the entry point, which runs a command and turns its result or exception
 * into an exit code.
 * <li>{@link io.github.panascope.cli.TutorialCommand}: all steps of the tutorial, with a report.
 * <li>{@link io.github.panascope.cli.PromptCommand}: the logits of the model after a prompt.
 * <li>{@link io.github.panascope.cli.EvalCommand} and {@link io.github.panascope.cli.CheckSaeCommand}: metrics of an
 * SAE.
 * <li>{@link io.github.panascope.cli.DashboardCommand} and {@link io.github.panascope.cli.MergeCommand}: dashboards,
 * and the union of collected features.
 * <li>{@link io.github.panascope.cli.SaesCommand} and {@link io.github.panascope.cli.FetchCommand}: the registry of
 * SAEs, and downloads.
 * <li>{@link io.github.panascope.cli.ServeCommand}: a local server for the written pages.
 * <li>{@link io.github.panascope.cli.DoctorCommand} and {@link io.github.panascope.cli.BenchCommand}: checks and
 * timings of the installation.
 * <li>{@link io.github.panascope.cli.InputOptions}, {@link io.github.panascope.cli.RowOptions},
 * {@link io.github.panascope.cli.FeatureOptions} and {@link io.github.panascope.cli.PromptOptions}: the shared options.
 * <li>{@link io.github.panascope.cli.Outputs}, {@link io.github.panascope.cli.Progress} and
 * {@link io.github.panascope.cli.MetricsFile}: checks of output files, progress bars, and {@code metrics.json}.
 * </ul>
 *
 * <pre>{@code
 * arguments -> Main -> command <- InputOptions   -> model, SAE
 *                         |    <- RowOptions     -> rows of tokens
 *                         |    <- FeatureOptions -> features
 *                         v
 *                   library calls -> console, metrics.json, HTML pages
 *                         |
 *                         v
 *                     exit code
 * }</pre>
 */
package io.github.panascope.cli;
