/* What of libx264 is needed, without its structures: their layout changes from version to version, so it is left to
 * the compiler and the header that is installed. Whoever calls this is src/lib.rs, which says what is passed. */

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <x264.h>

struct lectern_x264 {
    x264_t *encoder;
    int macroblocks;
    /* The first thing that went wrong. */
    char error[256];
};

struct lectern_x264_picture {
    const uint8_t *planes[3];
    int strides[3];
    int64_t time;
    int keyframe;
    /* One byte for each macroblock, not zero where it is as in the picture before; or null. */
    const uint8_t *constant;
};

struct lectern_x264_unit {
    const uint8_t *data;
    size_t size;
    int64_t time;
    int keyframe;
};

static void keep_error(void *private, int level, const char *format, va_list values) {
    struct lectern_x264 *self = private;
    if (level <= X264_LOG_ERROR && !self->error[0])
        vsnprintf(self->error, sizeof self->error, format, values);
}

const char *lectern_x264_error(const struct lectern_x264 *self) { return self->error; }

void lectern_x264_close(struct lectern_x264 *self) {
    if (self->encoder)
        x264_encoder_close(self->encoder);
    free(self);
}

/* Null when memory is out. Otherwise there is an encoder, or `lectern_x264_error` says why not. */
struct lectern_x264 *lectern_x264_open(int width, int height, uint32_t timescale, int constant, const char *preset,
                                       size_t options, const char *const *names, const char *const *values) {
    struct lectern_x264 *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    x264_param_t param;
    if (x264_param_default_preset(&param, preset, NULL) < 0) {
        snprintf(self->error, sizeof self->error, "there is no preset %s", preset);
        return self;
    }
    param.pf_log = keep_error;
    param.p_log_private = self;
    param.i_log_level = X264_LOG_ERROR;
    param.i_width = width;
    param.i_height = height;
    param.i_csp = X264_CSP_I420;
    param.i_bitdepth = 8;
    param.b_vfr_input = 1;
    param.i_timebase_num = 1;
    param.i_timebase_den = timescale;
    /* Units with lengths, and headers apart, as files have them (ISO/IEC 14496-15 5.3). */
    param.b_annexb = 0;
    param.b_repeat_headers = 0;
    param.analyse.b_mb_info = constant;
    for (size_t at = 0; at < options; at++)
        if (x264_param_parse(&param, names[at], values[at]) < 0) {
            snprintf(self->error, sizeof self->error, "option %s=%s is not understood", names[at], values[at]);
            return self;
        }
    if (x264_param_apply_profile(&param, "high") < 0) {
        snprintf(self->error, sizeof self->error, "the options are not within the High profile");
        return self;
    }
    self->macroblocks = (width + 15) / 16 * ((height + 15) / 16);
    self->encoder = x264_encoder_open(&param);
    if (!self->encoder && !self->error[0])
        snprintf(self->error, sizeof self->error, "x264 does not open");
    return self;
}

/* Sequence and picture parameter set, without their lengths. */
int lectern_x264_headers(struct lectern_x264 *self, struct lectern_x264_unit *sequence, struct lectern_x264_unit *picture) {
    x264_nal_t *units;
    int count;
    if (x264_encoder_headers(self->encoder, &units, &count) < 0)
        return -1;
    for (int at = 0; at < count; at++) {
        struct lectern_x264_unit *into = units[at].i_type == NAL_SPS ? sequence : units[at].i_type == NAL_PPS ? picture : NULL;
        if (into) {
            into->data = units[at].p_payload + 4;
            into->size = units[at].i_payload - 4;
        }
    }
    return sequence->size && picture->size ? 0 : -1;
}

/* Negative: an error. Otherwise how many bytes `unit` has, which may be none. Without a picture: of what is delayed. */
int lectern_x264_encode(struct lectern_x264 *self, const struct lectern_x264_picture *picture, struct lectern_x264_unit *unit) {
    x264_picture_t in, out, *given = NULL;
    if (picture) {
        x264_picture_init(&in);
        in.img.i_csp = X264_CSP_I420;
        in.img.i_plane = 3;
        for (int plane = 0; plane < 3; plane++) {
            in.img.plane[plane] = (uint8_t *)picture->planes[plane];
            in.img.i_stride[plane] = picture->strides[plane];
        }
        in.i_pts = picture->time;
        in.i_type = picture->keyframe ? X264_TYPE_IDR : X264_TYPE_AUTO;
        if (picture->constant) {
            /* x264 keeps it as long as the picture is a reference. */
            uint8_t *info = malloc(self->macroblocks);
            if (!info)
                return -1;
            for (int at = 0; at < self->macroblocks; at++)
                info[at] = picture->constant[at] ? X264_MBINFO_CONSTANT : 0;
            in.prop.mb_info = info;
            in.prop.mb_info_free = free;
        }
        given = &in;
    }
    x264_nal_t *units;
    int count;
    int size = x264_encoder_encode(self->encoder, &units, &count, given, &out);
    if (size > 0) {
        /* The units of a picture lie one after the other. */
        unit->data = units[0].p_payload;
        unit->size = size;
        unit->time = out.i_pts;
        unit->keyframe = out.b_keyframe;
    }
    return size;
}

int lectern_x264_delayed(struct lectern_x264 *self) { return x264_encoder_delayed_frames(self->encoder); }
