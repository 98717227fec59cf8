package io.github.panascope;

import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.TestPlan;

/** Prints one line at the end of a run that says how many tests were skipped, and why. */
public final class NotTested implements TestExecutionListener {
    private static final String ASSUMPTION = "Assumption failed: ";

    private final Map<String, Long> skipped = new TreeMap<>();
    private TestPlan plan;

    @Override
    public void testPlanExecutionStarted(TestPlan testPlan) {
        plan = testPlan;
    }

    @Override
    public void executionSkipped(TestIdentifier identifier, String reason) {
        skip(identifier, reason);
    }

    @Override
    public void executionFinished(TestIdentifier identifier, TestExecutionResult result) {
        if (result.getStatus() == TestExecutionResult.Status.ABORTED)
            skip(identifier, result.getThrowable().map(Throwable::getMessage).orElse("aborted"));
    }

    @Override
    public void testPlanExecutionFinished(TestPlan testPlan) {
        if (!skipped.isEmpty()) System.out.println(line(skipped));
    }

    private synchronized void skip(TestIdentifier identifier, String reason) {
        long leaves = plan.getDescendants(identifier).stream()
                .filter(each -> plan.getChildren(each).isEmpty())
                .count();
        String text = reason == null || reason.isBlank()
                ? "for no reason that is given"
                : reason.lines().findFirst().orElseThrow();
        skipped.merge(
                text.startsWith(ASSUMPTION) ? text.substring(ASSUMPTION.length()) : text,
                Math.max(1, leaves),
                Long::sum);
    }

    /** The line for numbers of tests by the reason why they were skipped. */
    static String line(Map<String, Long> skipped) {
        return skipped.entrySet().stream()
                .map(each -> each.getValue() + (each.getValue() == 1 ? " test, " : " tests, ") + each.getKey())
                .collect(Collectors.joining("; ", "Not tested: ", ""));
    }
}
