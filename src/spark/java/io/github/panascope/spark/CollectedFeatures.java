package io.github.panascope.spark;

import java.io.Serializable;
import java.util.List;
import java.util.Map;

/** Features of a corpus that a {@link FeatureJob} collected into a folder. */
public final class CollectedFeatures {
    private final ModelAndSae names;
    private final String text;
    private final HadoopFiles folder;
    private final JobPlan plan;
    private final List<UnitFiles> units;
    private final int[] features;
    private final Map<String, Share> shares;

    /**
     * What an executor did in the job.
     *
     * @param tokens  the number of tokens
     * @param seconds the time of its tasks together
     */
    public record Share(long tokens, double seconds) implements Serializable {
        Share plus(Share other) {
            return new Share(tokens + other.tokens, seconds + other.seconds);
        }
    }

    CollectedFeatures(
            ModelAndSae names,
            String text,
            HadoopFiles folder,
            JobPlan plan,
            List<UnitFiles> units,
            int[] features,
            Map<String, Share> shares) {
        this.names = names;
        this.text = text;
        this.folder = folder;
        this.plan = plan;
        this.units = units;
        this.features = features;
        this.shares = shares;
    }

    /** {@return the URI of the folder} */
    public String folder() {
        return folder.toString();
    }

    /** {@return the number of rows} */
    public long rows() {
        return plan.rows();
    }

    /** {@return what each executor did in the job, by its id and host; empty if no row was missing} */
    public Map<String, Share> shares() {
        return shares;
    }
}
