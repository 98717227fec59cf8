package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.lens.TestPrompt;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChatMessage;
import io.github.panascope.torch.Device;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The command {@code prompt}, which runs TransformerLens's test_prompt without and with the SAE. */
@Command(
        name = "prompt",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = "TransformerLens's test_prompt: how the model continues a prompt, as it is and under the SAE's"
                + " reconstruction.")
final class PromptCommand implements Callable<Integer> {
    @Mixin
    private InputOptions input;

    @Mixin
    private PromptOptions prompt;

    @Option(
            names = "--top-k",
            paramLabel = "N",
            defaultValue = "10",
            description = "how many next tokens to show (default: ${DEFAULT-VALUE})")
    private int topK;

    @Option(
            names = "--chat",
            description = "the prompt is a question in a conversation, in the form that the model was trained for;"
                    + " no space is put before the answer")
    private boolean chat;

    @Override
    public Integer call() {
        if (topK < 1) throw new InputException("--top-k should be at least 1, not " + topK + ".");
        Device device = input.chooseDevice();
        try (Sae sae = input.loadSae(device);
                HookedTransformer model = input.loadModel(device, sae)) {
            sae.requireFits(model);
            prompt.check(model);
            System.out.println(test(model));
            System.out.println("Under the reconstruction at " + sae.config().hookNameOut() + ":");
            System.out.print(test(model.with(sae.attachment(false))));
        }
        return 0;
    }

    private String test(HookedTransformer model) {
        List<String> answers = List.of(prompt.answer);
        TestPrompt result = chat
                ? TestPrompt.ofChat(model, List.of(ChatMessage.user(prompt.prompt)), answers, Hooks.NONE, topK)
                : TestPrompt.run(model, prompt.prompt, answers, Hooks.NONE, topK);
        return result.format();
    }
}
