/** `docker-router init`: what `init/` does, with what it needs read only now. */
export { main } from './init/init.ts';
