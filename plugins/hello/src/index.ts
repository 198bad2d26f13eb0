import { definePlugin, Type } from '@atoll/plugin-sdk';

interface Config {
  greeting: string;
}

export default definePlugin<Config>(({ config, http, events, log }) => {
  const body = Type.Object({ name: Type.String({ minLength: 1, maxLength: 200 }) });

  http.post('/', { body, summary: 'Greets someone' }, async ({ body }) => {
    await events.emit('hello.greeted', { name: body.name });
    return { hello: `${config.greeting}, ${body.name}!` };
  });

  events.on<{ name: string }>('hello.greeted', (event) => {
    log.info({ name: event.data.name }, 'someone was greeted');
  });
});
