package io.github.panascope.tokens;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.tokens.ChatMessage.Role;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.format.DateTimeFormatter;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Conversations as transformers writes them with the templates of real models: see tests/peers/make_chats.py. */
class ChatTemplateTest {
    private static Stream<Arguments> templates() throws IOException {
        return JsonMapper.shared()
                .readTree(Files.readString(Path.of("tests/resources/chats.json")))
                .valueStream()
                .map(each -> Arguments.of(each.get("name").stringValue(), each));
    }

    private static String program(JsonNode template) {
        return String.join(
                "\n",
                template.get("tags").valueStream().map(JsonNode::stringValue).toList());
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("templates")
    void textsAreThoseOfTransformers(String name, JsonNode expected) {
        String bos = expected.get("bos").stringValue();
        String eos = expected.get("eos").stringValue();
        if (name.equals("zephyr_gemma")) {
            assertThrows(InputException.class, () -> ChatTemplate.of(program(expected), bos, eos));
            return;
        }
        ChatTemplate template = ChatTemplate.of(program(expected), bos, eos);
        String today = LocalDate.now().format(DateTimeFormatter.ofPattern("dd MMM yyyy", Locale.ENGLISH));
        int compared = 0;
        for (JsonNode chat : expected.get("chats")) {
            List<ChatMessage> messages = chat.get("messages")
                    .valueStream()
                    .map(each -> new ChatMessage(
                            Role.valueOf(each.get(0).stringValue().toUpperCase(Locale.ROOT)),
                            each.get(1).stringValue()))
                    .toList();
            boolean prompt = chat.get("prompt").booleanValue();
            if (chat.get("text").isNull()) {
                assertThrows(InputException.class, () -> template.render(messages, prompt));
                continue;
            }
            assertEquals(
                    chat.get("text").stringValue().replace("{TODAY}", today),
                    template.render(messages, prompt),
                    name + " " + messages);
            compared++;
        }
        assertTrue(compared >= 10);
    }

    @Test
    void unknownProgramsAndConversationsAreRefused() throws IOException {
        String jinja = "{% for message in messages %}{{ message.content }}{{ eos_token }}{% endfor %}";
        assertEquals(
                "The chat_template '{% for message in messages %}{{ message.content }}{{ eos_tok...' is not one of"
                        + " Gemma, Llama 2 and 3, Mistral, ChatML, Qwen or DeepSeek-R1, the forms of conversations that"
                        + " are known; write the text of the conversation yourself.",
                assertThrows(InputException.class, () -> ChatTemplate.of(jinja, "<s>", "</s>"))
                        .getMessage());
        assertEquals(
                "The tokenizer has no chat_template in its tokenizer_config.json: it belongs to a model that was not"
                        + " trained for conversations.",
                assertThrows(InputException.class, () -> ChatTemplate.of(Tokenizer.gpt2()))
                        .getMessage());
        JsonNode gemma = (JsonNode) templates().findFirst().orElseThrow().get()[1];
        ChatTemplate template = ChatTemplate.of(program(gemma), "<bos>", "<eos>");
        assertEquals(
                "A conversation needs at least one message.",
                assertThrows(InputException.class, () -> template.render(List.of(), true))
                        .getMessage());
        assertEquals(
                "Messages of this model's conversations alternate, beginning with the user, and message 2 is of the"
                        + " user.",
                assertThrows(
                                InputException.class,
                                () -> template.render(List.of(ChatMessage.user("a"), ChatMessage.user("b")), true))
                        .getMessage());
        assertEquals(
                "Only the first message of a conversation can be that of the system.",
                assertThrows(
                                InputException.class,
                                () -> template.render(List.of(ChatMessage.user("a"), ChatMessage.system("b")), true))
                        .getMessage());
    }

    private static final String MESSAGE =
            "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}";

    @Test
    void chatMlsInstructionsMayHaveEscapes() {
        String prompt = "{{ '<|im_start|>assistant\\n' }}";
        for (String text : List.of(
                "'<|im_start|>system\\nIt\\'s in \\\\boxed{}.\\nA \"word\".<|im_end|>\\n'",
                "\"<|im_start|>system\\nIt's in \\\\boxed{}.\\nA \\\"word\\\".<|im_end|>\\n\""))
            assertEquals(
                    "<|im_start|>system\nIt's in \\boxed{}.\nA \"word\".<|im_end|>\n<|im_start|>user\na<|im_end|>\n",
                    ChatTemplate.of("{{ " + text + " }}" + MESSAGE + prompt, "", "")
                            .render(List.of(ChatMessage.user("a")), false));
        for (String text : List.of(
                "{{ '<|im_start|>system\\nToday: ' + date + '<|im_end|>\\n' }}",
                "{{ '<|im_start|>system\\nA \\x41.<|im_end|>\\n' }}",
                "<|im_start|>system\nYou are.<|im_end|>\n"))
            assertThrows(InputException.class, () -> ChatTemplate.of(text + MESSAGE + prompt, "", ""), text);
    }

    @Test
    void qwen3BeginsWithThoughtsWhereItsProgramDoes() {
        String thoughts = "{{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') +"
                + " '\\n</think>\\n\\n' + content.lstrip('\\n') }}";
        List<ChatMessage> messages = List.of(
                ChatMessage.user("a"),
                ChatMessage.assistant("<think>\nb\n</think>\n\nc"),
                ChatMessage.user("<tool_response>\nd\n</tool_response>"));
        String expected = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n<think>\nb\n</think>\n\nc<|im_end|>\n"
                + "<|im_start|>user\n<tool_response>\nd\n</tool_response><|im_end|>\n<|im_start|>assistant\n";
        String plain = thoughts + "{{- '<|im_start|>assistant\\n' }}";
        assertEquals(expected, ChatTemplate.of(plain, "", "").render(messages, true));
        String thinking = thoughts + "{{- '<|im_start|>assistant\\n<think>\\n' }}";
        assertEquals(expected + "<think>\n", ChatTemplate.of(thinking, "", "").render(messages, true));
        String other = thoughts + "{{- '<|im_start|>assistant\\nSo' }}";
        assertThrows(InputException.class, () -> ChatTemplate.of(other, "", ""));
    }

    @Test
    void whiteSpaceIsPythons() throws IOException {
        JsonNode gemma = (JsonNode) templates().findFirst().orElseThrow().get()[1];
        assertEquals(
                "<bos><start_of_turn>user\na<end_of_turn>\n",
                ChatTemplate.of(program(gemma), "<bos>", "<eos>")
                        .render(List.of(ChatMessage.user("\u00a0\u001f\u0085a\u202f\u3000\n")), false));
    }
}
