/** POST /tokenize and /detokenize. */
import { tokenize as tokenizeText, verifyModel, type Api } from './api.ts';
import { Fields } from './body.ts';
import { readConversation, renderConversation } from './chat-template.ts';
import type { Exchange } from './exchange.ts';
import { verifyTokenIds } from './sampling.ts';
import { decode, glyphsOf } from './vocabulary.ts';

export async function tokenize(api: Api, exchange: Exchange): Promise<void> {
  const body = await exchange.json();
  const fields = new Fields(body);
  const isChat = body['messages'] !== undefined;
  const conversation = isChat ? readConversation(fields) : null;
  if (!isChat) fields.require('prompt');
  const prompt = fields.text('prompt') ?? '';
  const wantsTexts = fields.boolean('return_token_strs') ?? false;
  fields.verify();
  verifyModel(api, body);
  const tokens = tokenizeText(api, conversation === null ? prompt : renderConversation(conversation));
  exchange.respond(200, {
    count: tokens.length,
    max_model_len: api.settings.contextTokens,
    tokens,
    token_strs: wantsTexts ? tokens.map(glyphsOf) : null,
  });
}

export async function detokenize(api: Api, exchange: Exchange): Promise<void> {
  const body = await exchange.json();
  const fields = new Fields(body);
  fields.require('tokens');
  const tokens = fields.integers('tokens') ?? [];
  fields.verify();
  verifyModel(api, body);
  verifyTokenIds(tokens);
  exchange.respond(200, { prompt: decode(tokens, { skipSpecial: false }) });
}
